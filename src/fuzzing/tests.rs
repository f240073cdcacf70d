//! Each parser with ten thousand inputs, in a process of its own: an endless loop, a stack overflow and too much memory end
//! that process alone.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, setrlimit};

use super::mutations::input;
use super::parsers;

/// Per parser.
const INPUTS: u64 = 10_000;
/// Of the address space of a process, in bytes.
const MEMORY: u64 = 1 << 30;
/// How long one input may take, on a loaded machine without optimizations.
const LONGEST: Duration = Duration::from_secs(20);
/// The variable with the parser of a process; with NAME:NUMBER it parses that input alone.
const PARSER: &str = "TAILWATCH_FUZZ";
/// The variable with the file for the number of the current input.
const PROGRESS: &str = "TAILWATCH_FUZZ_PROGRESS";
const TEST: &str = "fuzzing::tests::no_input_stops_a_parser";

#[test]
fn no_input_stops_a_parser() {
    if let Ok(parser) = std::env::var(PARSER) {
        return parse(&parser);
    }
    let waiting: Mutex<Vec<&str>> = Mutex::new(parsers().map(|(name, _)| name).collect());
    let failures = Mutex::new(Vec::new());
    let folder = tempfile::tempdir().unwrap();
    let work = || {
        while let Some(name) = { waiting.lock().unwrap().pop() } {
            failures.lock().unwrap().extend(failure(name, folder.path()));
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(work))));
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn each_parser_has_a_corpus_and_a_target() {
    let names: BTreeSet<String> = parsers().map(|(name, _)| name.to_owned()).collect();
    let targets = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml")).unwrap();
    let targets = targets.split("[[bin]]\nname = \"").skip(1);
    assert_eq!(targets.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect::<BTreeSet<_>>(), names);
    let folders = std::fs::read_dir(folder("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(folders.map(|name| name.into_string().unwrap()).collect::<BTreeSet<String>>(), names);
    assert!(names.iter().all(|name| !corpus(name).is_empty()));
    assert_eq!(names.len(), parsers().count());
}

#[test]
fn a_number_gives_the_same_input() {
    let corpus = corpus("answers");
    let inputs = |count: u64| (0..count).map(|number| input(&corpus, number)).collect::<Vec<_>>();
    assert_eq!(inputs(50), inputs(50));
    assert!(inputs(500).into_iter().collect::<BTreeSet<_>>().len() > 400);
}

fn folder(parser: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fuzzing").join(parser)
}

/// In the order of the file names.
fn corpus(parser: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder(parser)).unwrap().map(|entry| entry.unwrap().path());
    entries.collect::<BTreeSet<_>>().iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Parses the inputs of one parser, in a process of its own.
fn parse(parser: &str) {
    setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY).unwrap();
    let (name, only) = parser.split_once(':').map_or((parser, None), |(name, number)| (name, Some(number)));
    let (_, parse) = parsers().find(|(known, _)| *known == name).unwrap();
    let corpus = corpus(name);
    if let Some(number) = only {
        let input = input(&corpus, number.parse().unwrap());
        writeln!(std::io::stdout(), "{}", input.escape_ascii()).unwrap();
        return parse(&input);
    }
    corpus.iter().for_each(|document| parse(document));
    let progress = std::env::var_os(PROGRESS).map(|path| File::create(path).unwrap());
    for number in 0..INPUTS {
        progress.iter().for_each(|file| file.write_all_at(&number.to_le_bytes(), 0).unwrap());
        parse(&input(&corpus, number));
    }
}

/// Which input stopped the parser, and how; `None`: it parsed all of them.
fn failure(parser: &str, folder: &Path) -> Option<String> {
    let (progress, output) = (folder.join(parser), folder.join(format!("{parser}.log")));
    let log = File::create(&output).unwrap();
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args([TEST, "--exact", "--nocapture"])
        .env(PARSER, parser)
        .env(PROGRESS, &progress)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let how = end(&mut process, &progress)?;
    let log = std::fs::read_to_string(output).unwrap();
    let number = number(&progress).map_or_else(|| "none".into(), |number| number.to_string());
    Some(format!(
        "{parser}: {how} at input {number}; {PARSER}={parser}:{number} cargo test --lib {TEST} -- --nocapture repeats it\n{log}"
    ))
}

/// How a process ended, unless it was a success. One without progress is killed.
fn end(process: &mut Child, progress: &Path) -> Option<String> {
    let (mut last, mut since) = (None, Instant::now());
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return (!status.success()).then(|| status.to_string());
        }
        let current = number(progress);
        if current != last {
            (last, since) = (current, Instant::now());
        }
        if since.elapsed() > LONGEST {
            process.kill().unwrap();
            process.wait().unwrap();
            return Some(format!("no end after {} s", LONGEST.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn number(progress: &Path) -> Option<u64> {
    Some(u64::from_le_bytes(std::fs::read(progress).ok()?.try_into().ok()?))
}

//! kill -9 at random moments of installs and upgrades, of tailwatch and of its helm: the same command then converges,
//! with no question and no hand, to the state that an undisturbed run ends in.
//!
//! `TAILWATCH_KILLS=100` kills so often (twice without it), on `TAILWATCH_KILLS_SANDBOXES` sandboxes side by side
//! (one without it). Each kill is reported with its moment; a moment comes again with the same `TAILWATCH_KILLS_SEED`.

#![allow(missing_docs, clippy::unwrap_used)]

use std::io::Write as _;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use support::{Inventory, Sandbox, Signal, children, signal};

/// The program under test.
const TAILWATCH: &str = env!("CARGO_BIN_EXE_tailwatch");
const LATER: [(&str, &str); 4] =
    [("kube-prometheus-stack", "88.5.3"), ("oauth2-proxy", "10.8.0"), ("loki", "6.55.0"), ("alloy", "1.11.1")];
/// How long what a finished run set going may take to settle.
const SETTLING: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Victim {
    Tailwatch,
    Helm,
}

/// A job that is done again and again: its command, how long it takes undisturbed, and the state it ends in.
struct Job {
    name: &'static str,
    arguments: Vec<String>,
    seconds: f64,
    end: Vec<String>,
}

/// What was done and found, one line each.
#[derive(Default)]
struct Tally {
    left: usize,
    converged: usize,
    wrong: Vec<String>,
}

#[test]
fn killed_at_any_moment_the_same_command_converges() {
    let number =
        |name: &str, default: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let kills = number("TAILWATCH_KILLS", 2);
    let sandboxes = number("TAILWATCH_KILLS_SANDBOXES", 1);
    let seed = number("TAILWATCH_KILLS_SEED", std::process::id() as usize) as u64;
    say(&format!("{kills} kills, seed {seed}"));
    let tally = Mutex::new(Tally { left: kills, ..Tally::default() });
    std::thread::scope(|scope| {
        for worker in 0..sandboxes {
            let tally = &tally;
            scope.spawn(move || work(tally, seed.wrapping_add(worker as u64)));
        }
    });
    let tally = tally.into_inner().unwrap();
    say(&format!("{} of {kills} converged", tally.converged));
    assert!(tally.wrong.is_empty() && tally.converged == kills, "{}", tally.wrong.join("\n"));
}

/// Each pair has something to change, so both want the lock. The one that works takes longer than the pause between two
/// heartbeats of its lock: only a renewed lock shows the other one that its holder is alive.
#[test]
fn of_two_started_at_once_exactly_one_works() {
    let pairs = std::env::var("TAILWATCH_PAIRS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    let answers = sandbox.file("slow-answers.yaml").display().to_string();
    let text = std::fs::read_to_string(sandbox.answers()).unwrap();
    std::fs::write(&answers, text + "\nvalues: { alloy: { controller: { minReadySeconds: 10 } } }\n").unwrap();
    sandbox.tailwatch(&["install", "--answers", &answers, "--yes", "--skip-verify"]).ended_with(0);
    for pair in 0..pairs {
        let change = format!("retention.logs={}d", 10 + pair);
        let arguments = ["install", "--answers", &answers, "--yes", "--skip-verify", "--set", &change];
        let start = || {
            let mut command = sandbox.tailwatch_command(&arguments);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
        let mut codes = both.each_ref().map(|output| output.status.code());
        codes.sort_unstable();
        let said = both.each_ref().map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
        assert_eq!(codes, [Some(0), Some(7)], "{pair}: {}\n---\n{}", said[0], said[1]);
        let history = sandbox.helm(&["history", "loki", "-n", "monitoring", "-o", "json"]).ended_with(0).json();
        assert_eq!(
            history.as_array().unwrap().len().min(10),
            (pair + 2).min(10),
            "each pair makes one revision: {history}"
        );
    }
    say(&format!("{pairs} pairs: one worked, the other said so"));
}

fn work(tally: &Mutex<Tally>, mut random: u64) {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    let install = learn(&sandbox, "install", Vec::new());
    let versions = LATER.iter().flat_map(|(name, version)| ["--set".to_owned(), format!("versions.{name}={version}")]);
    let upgrade = learn(&sandbox, "upgrade", versions.collect());
    for round in 0_usize.. {
        remove(&sandbox);
        for (job, kind) in [&install, &upgrade].into_iter().zip(0..) {
            {
                let mut tally = tally.lock().unwrap();
                if tally.left == 0 {
                    return;
                }
                tally.left -= 1;
            }
            let victim = if (round + kind).is_multiple_of(2) { Victim::Tailwatch } else { Victim::Helm };
            let reported = kill_and_converge(&sandbox, job, victim, fraction(&mut random));
            let mut tally = tally.lock().unwrap();
            match reported {
                Ok(line) => {
                    tally.converged += 1;
                    say(&format!("{:3}  {line}", tally.converged));
                }
                Err(line) => {
                    say(&format!("WRONG  {line}"));
                    tally.wrong.push(line);
                    return;
                }
            }
        }
    }
}

/// Runs a job undisturbed.
fn learn(sandbox: &Sandbox, name: &'static str, more: Vec<String>) -> Job {
    let mut arguments =
        ["install", "--answers", &sandbox.answers(), "--yes", "--skip-verify"].map(str::to_owned).to_vec();
    arguments.extend(more);
    let started = Instant::now();
    run(sandbox, &arguments).unwrap_or_else(|said| panic!("{name}: {said}"));
    let seconds = started.elapsed().as_secs_f64();
    Job { name, arguments, seconds, end: settled(sandbox) }
}

fn remove(sandbox: &Sandbox) {
    let removal = ["uninstall", "--delete-data", "--delete-crds", "--yes"].map(str::to_owned);
    run(sandbox, &removal).unwrap_or_else(|said| panic!("{said}"));
}

fn run(sandbox: &Sandbox, arguments: &[String]) -> Result<(), String> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = sandbox.tailwatch(&words);
    if said.code == Some(0) { Ok(()) } else { Err(format!("exit code {:?}\n{}", said.code, said.stderr)) }
}

fn kill_and_converge(sandbox: &Sandbox, job: &Job, victim: Victim, moment: f64) -> Result<String, String> {
    let words: Vec<&str> = job.arguments.iter().map(String::as_str).collect();
    let log = sandbox.file("killed.log");
    let mut command = sandbox.tailwatch_command(&words);
    command.stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
    let mut child = command.spawn().unwrap();
    let after = Duration::from_secs_f64(job.seconds * moment);
    std::thread::sleep(after);
    let hit = match victim {
        Victim::Tailwatch => child.try_wait().unwrap().is_none() && signal(child.id(), Signal::SIGKILL),
        Victim::Helm => kill_helm(&mut child),
    };
    let code = child.wait().unwrap().code();
    let last = std::fs::read_to_string(&log).unwrap_or_default();
    let stage = last.lines().rfind(|line| line.starts_with('[')).unwrap_or("before the first step").to_owned();
    let what = format!(
        "{} killed {:.1} s into {} (hit: {hit}, ended with {code:?}): {stage}",
        words_of(victim),
        after.as_secs_f64(),
        job.name
    );
    let started = Instant::now();
    run(sandbox, &job.arguments).map_err(|said| format!("{what}\n{said}"))?;
    let seconds = started.elapsed().as_secs_f64();
    let until = Instant::now() + SETTLING;
    loop {
        let difference = differing(&job.end, &settled(sandbox));
        if difference.is_empty() {
            return Ok(format!("{what}; converged in {seconds:.0} s"));
        }
        if Instant::now() > until {
            return Err(format!("{what}\nanother end state:\n{}", difference.join("\n")));
        }
    }
}

fn words_of(victim: Victim) -> &'static str {
    match victim {
        Victim::Tailwatch => "tailwatch",
        Victim::Helm => "helm",
    }
}

/// The helm that runs, or else the next one.
fn kill_helm(child: &mut Child) -> bool {
    while child.try_wait().unwrap().is_none() {
        if let Some(pid) = children(child.id()).first() {
            return signal(*pid, Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// Kinds that only follow from others, or only tell of a moment.
const DERIVED: [&str; 4] = ["ControllerRevision", "Endpoints", "EndpointSlice", "Lease"];

/// The objects that count: helm's own records, revisions that are no more and the numbers of revisions do not.
fn settled(sandbox: &Sandbox) -> Vec<String> {
    let is_derived = |line: &str| DERIVED.iter().any(|kind| line.contains(&format!(r#""kind":"{kind}","#)));
    let is_over = |line: &str| line.contains(r#""kind":"ReplicaSet""#) && line.contains(r#""replicas":0"#);
    let is_record = |line: &str| line.contains("helm.sh/release.v1") || line.contains("tailwatch-revisions");
    let is_wanted = |line: &String| !is_derived(line) && !is_over(line) && !is_record(line);
    Inventory::of(sandbox).normalised().into_iter().filter(is_wanted).collect()
}

fn differing(expected: &[String], found: &[String]) -> Vec<String> {
    let only = |one: &[String], other: &[String], sign: char| -> Vec<String> {
        one.iter().filter(|line| !other.contains(line)).map(|line| format!("{sign} {line}")).collect()
    };
    [only(expected, found, '-'), only(found, expected, '+')].concat()
}

/// xorshift: a number from 0 to 1, the same for the same seed.
fn fraction(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1);
    let mut mixed = *state;
    mixed ^= mixed >> 33;
    mixed = mixed.wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^= mixed >> 33;
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// Past the capture of the test harness: such a test takes an hour.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

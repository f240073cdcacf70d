//! The rules of `docs/architecture.md`: allowed dependencies, the modules that print or prompt, the length of files and
//! their names. Tests inside `src` may depend on more.

#![allow(missing_docs, clippy::unwrap_used)]

#[path = "architecture/cycles.rs"]
mod cycles;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cycles::cycles;

/// A module of the crate, and the modules that it may depend on.
const DEPENDENCIES: [(&str, &[&str]); 32] = [
    ("main", &["cli", "commands", "process", "report", "session"]),
    ("lib", &[]),
    ("cli", &[]),
    (
        "commands",
        &[
            "cli",
            "error",
            "wizard",
            "report",
            "check",
            "plan",
            "cluster",
            "stack",
            "config",
            "event",
            "process",
            "exit_code",
            "session",
            "workflow",
            "explanations",
            "helm",
            "export",
        ],
    ),
    (
        "workflow",
        &[
            "cli",
            "error",
            "wizard",
            "report",
            "engine",
            "check",
            "plan",
            "helm",
            "cluster",
            "stack",
            "config",
            "event",
            "process",
            "redaction",
            "known_errors",
            "write_record",
            "input_file",
            "session",
            "export",
        ],
    ),
    ("export", &["cli", "config", "stack", "yaml"]),
    ("explanations", &["check", "cluster", "config", "error", "event", "exit_code", "helm", "known_errors"]),
    ("session", &["cli", "cluster", "config", "engine", "error", "event", "helm", "report", "write_record"]),
    ("wizard", &["config", "foreign_text", "terminal"]),
    ("report", &["event", "cli", "error", "foreign_text", "input_file", "redaction", "terminal"]),
    ("engine", &["check", "plan", "helm", "cluster", "stack", "config", "event", "known_errors", "exit_code"]),
    ("check", &["list", "plan", "helm", "cluster", "process", "proxy", "trust", "stack", "config", "event", "yaml"]),
    ("plan", &["list", "helm", "cluster", "stack", "config", "event", "redaction"]),
    ("helm", &["process", "stack", "config", "event", "known_errors", "write_record", "yaml", "input_file"]),
    (
        "cluster",
        &[
            "process",
            "proxy",
            "trust",
            "stack",
            "config",
            "event",
            "redaction",
            "known_errors",
            "write_record",
            "yaml",
            "input_file",
        ],
    ),
    ("process", &[]),
    ("stack", &["config", "event", "yaml", "input_file"]),
    ("config", &["yaml", "input_file"]),
    ("yaml", &[]),
    ("proxy", &[]),
    ("list", &[]),
    ("redaction", &["config"]),
    ("foreign_text", &[]),
    ("terminal", &[]),
    ("trust", &[]),
    ("input_file", &[]),
    ("event", &["exit_code"]),
    ("known_errors", &["event"]),
    ("write_record", &[]),
    ("exit_code", &[]),
    ("benchmarks", &["cluster", "plan", "yaml"]),
    ("fuzzing", &["check", "cluster", "config", "engine", "helm", "plan", "yaml"]),
];

/// Gathers every module's error and maps it to an exit code.
const DEPENDENCIES_OF_ERROR: &[&str] =
    &["wizard", "engine", "plan", "helm", "cluster", "stack", "config", "event", "write_record", "exit_code"];
/// The modules that print or prompt.
// foreign_text prints nothing: console parses its escapes.
const MAY_PRINT: [&str; 4] = ["main", "report", "wizard", "foreign_text"];
const PRINTS: [&str; 8] =
    ["println!", "print!(", "eprintln!", "eprint!(", "dbg!(", "indicatif", "dialoguer", "console::"];
/// What starts a child outside of `process`; `clap::Command` starts none.
const STARTS: [&str; 4] = ["process::Command", "tokio::process", "open::that", "open::with"];
/// A client secret is bound to its issuer and client id; code that needs one asks for the type that holds all three.
const MAY_READ_CLIENT_SECRETS: [&str; 2] = ["config/", "stack/oauth_clients.rs"];
const CLIENT_SECRETS: [&str; 2] = [".client_secret", "oauth_client_secret"];
/// Every other module asks for a component's rules.
const MAY_COMPARE_COMPONENTS: [&str; 2] = ["stack/", "config/types.rs"];
const COMPONENTS: [&str; 10] = [
    "TAILSCALE_OPERATOR",
    "KUBE_PROMETHEUS_STACK",
    "OAUTH2_PROXY",
    "LOKI",
    "ALLOY",
    "\"tailscale-operator\"",
    "\"kube-prometheus-stack\"",
    "\"oauth2-proxy\"",
    "\"loki\"",
    "\"alloy\"",
];
const VAGUE_NAMES: [&str; 8] = ["utils", "util", "helpers", "helper", "common", "manager", "misc", "shared"];
const LONGEST: usize = 400;

/// A file of `src`: its path below it, its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// `config/load.rs` -> `config`
    fn module(&self) -> &str {
        self.path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs")
    }

    /// The text without comments and without what follows the first test module.
    fn code(&self) -> String {
        let lines = self.text.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
        let code = lines.collect::<Vec<_>>().join("\n");
        code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned()
    }

    /// The number of `super::` up to the crate's root.
    fn depth(&self) -> usize {
        let folders = self.path.matches('/').count();
        if self.path.ends_with("mod.rs") { folders } else { folders + 1 }
    }
}

/// Names right below the crate's root that the code mentions, by `crate::…`, `tailwatch::…` or `super::…`.
fn seen(source: &Source) -> BTreeSet<String> {
    let code = source.code();
    let to_root = "super::".repeat(source.depth());
    let mut names = BTreeSet::new();
    for marker in ["crate::", "tailwatch::", to_root.as_str()] {
        for (at, _) in code.match_indices(marker) {
            let part_of_a_word = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            if !part_of_a_word {
                names.extend(first_names(&code[at + marker.len()..]));
            }
        }
    }
    names
}

/// `a::b` -> a; `{a::{b, c}, d}` -> a, d.
fn first_names(path: &str) -> Vec<String> {
    let word = |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let Some(group) = path.strip_prefix('{') else { return vec![word(path)] };
    let mut names = Vec::new();
    let (mut depth, mut begin) = (0_usize, 0_usize);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                names.push(word(group[begin..at].trim()));
                begin = at + 1;
                if character == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Every violation of the rules.
fn violations(sources: &[Source]) -> Vec<String> {
    let mut table: BTreeMap<&str, &[&str]> = DEPENDENCIES.into_iter().collect();
    table.insert("error", DEPENDENCIES_OF_ERROR);
    let mut found = Vec::new();
    for source in sources {
        let (path, module) = (&source.path, source.module());
        let Some(allowed) = table.get(module) else {
            found.push(format!("{path}: {module} is not in the table of this test"));
            continue;
        };
        if source.text.lines().count() > LONGEST {
            found.push(format!("{path}: more than {LONGEST} lines"));
        }
        if path.split('/').any(|part| VAGUE_NAMES.contains(&part.trim_end_matches(".rs"))) {
            found.push(format!("{path}: its name is vague"));
        }
        if source.is_test() {
            continue;
        }
        for name in seen(source).iter().filter(|name| *name != module && !allowed.contains(&name.as_str())) {
            found.push(format!("{path}: {module} must not depend on {name}"));
        }
        if module != "process" {
            let code = source.code();
            found.extend(starts(&code).map(|word| format!("{path}: only process starts children, not {word}")));
        }
        if !MAY_READ_CLIENT_SECRETS.iter().any(|place| path.starts_with(place)) {
            let fields = CLIENT_SECRETS.into_iter().filter(|field| source.code().contains(field));
            found.extend(fields.map(|field| format!("{path}: only stack::OidcClient and OperatorClient read {field}")));
        }
        if !MAY_COMPARE_COMPONENTS.iter().any(|place| path.starts_with(place)) {
            let names = COMPONENTS.into_iter().filter(|name| is_compared(&source.code(), name));
            found.extend(names.map(|name| format!("{path}: only stack::ComponentRules compares {name}")));
        }
        if !MAY_PRINT.contains(&module) {
            found
                .extend(prints(&source.code()).map(|word| format!("{path}: only report and wizard print, not {word}")));
        }
    }
    found
}

/// What starts a child.
fn starts(code: &str) -> impl Iterator<Item = &'static str> {
    let mut made = code.match_indices("Command::new").map(|(at, _)| &code[..at]);
    let is_made = made.any(|before| !before.ends_with("clap::"));
    let words = STARTS.into_iter().filter(|word| code.contains(word));
    words.chain(is_made.then_some("Command::new"))
}

/// Whether a name is an operand of a comparison, or a pattern of a match.
fn is_compared(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (code[..at].trim_end(), code[at + name.len()..].trim_start());
        ["==", "!="].iter().any(|operator| before.ends_with(operator) || after.starts_with(operator))
            || after.starts_with("=>")
    })
}

/// What prints, draws or prompts; a test for a terminal prints nothing.
fn prints(code: &str) -> impl Iterator<Item = &str> {
    let words = PRINTS.into_iter().filter(|word| code.contains(word));
    let streams = ["stdout()", "stderr()", "stdin()"].into_iter().filter(|stream| {
        code.match_indices(stream)
            .any(|(at, _)| !code[..at].ends_with('_') && !code[at + stream.len()..].starts_with(".is_terminal()"))
    });
    words.chain(streams)
}

fn read(folder: &Path, below: &str, sources: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        let path = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            read(&entry.path(), &format!("{path}/"), sources);
        } else if path.ends_with(".rs") {
            sources.push(Source { path, text: std::fs::read_to_string(entry.path()).unwrap() });
        }
    }
}

#[test]
fn modules_have_only_allowed_dependencies() {
    let sources = sources();
    let found = violations(&sources);
    assert!(found.is_empty(), "{}", found.join("\n"));
    let modules: BTreeSet<&str> = sources.iter().map(Source::module).collect();
    for (module, _) in DEPENDENCIES {
        assert!(modules.contains(module), "module {module} does not exist: remove its row");
    }
}

/// Each rule detects its violations.
#[test]
fn every_kind_of_violation_is_reported() {
    let long = "\n".repeat(LONGEST + 1);
    for (path, text, expected) in [
        ("helm/commands.rs", "use crate::cluster::Cluster;", "helm must not depend on cluster"),
        ("cluster/mod.rs", "fn f() { super::helm::run() }", "cluster must not depend on helm"),
        ("cluster/track.rs", "use super::super::helm::Helm;", "cluster must not depend on helm"),
        ("report/bars.rs", "use crate::{\n    cli,\n    plan::{Plan, Step},\n};", "report must not depend on plan"),
        ("wizard/mod.rs", "use crate::{cluster::{A, B}, config};", "wizard must not depend on cluster"),
        ("config/load.rs", "fn f() -> crate::stack::Release {}", "config must not depend on stack"),
        ("check/rows.rs", "pub(in crate::engine) fn f() {}", "check must not depend on engine"),
        ("main.rs", "use tailwatch::engine;", "main must not depend on engine"),
        ("engine/run.rs", "println!(\"done\")", "not println!"),
        ("stack/desired.rs", "std::io::stderr().write_all(b\"x\")", "not stderr()"),
        ("commands/plan.rs", "use indicatif::ProgressBar;", "not indicatif"),
        ("helm/run.rs", "use tokio::process::Child;", "only process starts children, not tokio::process"),
        ("check/login/mod.rs", "fn f() { settings.auth0.client_secret }", "OidcClient"),
        (
            "check/https_client.rs",
            "fn f() { Command::new(\"curl\") }",
            "only process starts children, not Command::new",
        ),
        ("plan/decide.rs", "use std::process::Command;", "only process starts children, not process::Command"),
        ("workflow/sign_in.rs", "open::that_detached(address)", "only process starts children, not open::that"),
        ("engine/removal.rs", "if removal.component == OAUTH2_PROXY {}", "compares OAUTH2_PROXY"),
        ("plan/decide.rs", "match name { \"loki\" => 1, _ => 2 }", "compares \"loki\""),
        ("process/mod.rs", "use crate::helm::Helm;", "process must not depend on helm"),
        ("plan/helpers.rs", "", "its name is vague"),
        ("stack/utils/mod.rs", "", "its name is vague"),
        ("event.rs", &long, "more than 400 lines"),
        ("event_tests.rs", &long, "is not in the table"),
        ("metrics/mod.rs", "", "is not in the table"),
    ] {
        let found = violations(&[Source { path: path.into(), text: text.into() }]);
        assert!(found.len() == 1 && found[0].contains(expected), "{path}: {found:?}");
    }
    for (path, text) in [
        ("commands/install.rs", "let terminal = std::io::stderr().is_terminal(); use super::saved;"),
        ("helm/commands.rs", "// println! in crate::cluster\nuse crate::stack::ChartSource;"),
        (
            "report/error_message.rs",
            "use crate::error::Error;\n#[cfg(test)]\nmod tests { use crate::engine::EngineError; }",
        ),
        ("cluster/readiness/pods.rs", "use super::super::Cluster;"),
        ("config/load_tests.rs", "println!()"),
        ("stack/component_rules.rs", "name == ALLOY"),
        ("check/verify/logs.rs", "context.value(LOKI, \"/a\") == b"),
        ("process/mod.rs", "use std::process::Command; tokio::process::Command::from(command)"),
        ("cli/command.rs", "clap::Command::new(\"tailwatch\")"),
    ] {
        assert_eq!(violations(&[Source { path: path.into(), text: text.into() }]), Vec::<String>::new());
    }
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut sources);
    assert!(sources.iter().any(|source| source.path == "main.rs"), "the sources were not found");
    sources
}

#[test]
fn no_files_refer_to_one_another() {
    let sources = sources();
    let found = cycles(sources.iter().map(|source| (source.path.as_str(), source.text.as_str())));
    let found: Vec<String> =
        found.iter().map(|files| Vec::from_iter(files.iter().map(String::as_str)).join(" ")).collect();
    assert!(found.is_empty(), "module cycles:\n{}", found.join("\n"));
}

/// A path through a re-export counts for the file that defines the item; tests, comments and texts do not count.
#[test]
fn every_kind_of_module_cycle_is_noticed() {
    let root = ("lib.rs", "pub mod a;\npub mod b;");
    for (first, second, is_cycle) in [
        ("use crate::b::B; pub struct A(B);", "use crate::a::A; pub struct B(Box<A>);", true),
        ("pub struct A; fn f() { super::b::g() }", "fn g(_: crate::a::A) {}", true),
        ("use crate::{b}; pub struct A; fn f() { b::g() }", "use crate::a::*; fn g(_: A) {}", true),
        ("pub use crate::b::B; pub struct A(B);", "use crate::a::A as Other; pub struct B(Box<Other>);", true),
        ("pub use crate::b::B; pub struct A;", "use crate::a::A; pub struct B(A);", false),
        ("pub use crate::b::B;", "use crate::a::B as Own; pub struct B;", false),
        ("// crate::b::B\nconst T: &str = \"crate::b::B\"; pub struct A;", "use crate::a::A; pub struct B(A);", false),
        ("pub struct A; #[cfg(test)] mod tests { use crate::b::B; }", "use crate::a::A; pub struct B(A);", false),
    ] {
        let found = cycles([root, ("a.rs", first), ("b/mod.rs", second)].into_iter());
        assert_eq!(found.len(), usize::from(is_cycle), "{first} {second}: {found:?}");
    }
}

/// `suite::file::test`; a unit test has its path below `src`.
fn has_test(root: &Path, name: &str) -> bool {
    let Some((module, test)) = name.rsplit_once("::") else { return false };
    let file = module.replace("::", "/") + ".rs";
    let file = if module.starts_with("src::") { file } else { format!("tests/{file}") };
    std::fs::read_to_string(root.join(file)).is_ok_and(|code| code.contains(&format!("fn {test}(")))
}

#[test]
fn each_test_that_the_threat_model_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(!has_test(root, "e2e::install::nothing_of_this_name"));
    let text = std::fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let names: Vec<&str> = text.split('`').filter(|part| part.matches("::").count() > 1).collect();
    assert!(names.len() > 10, "{names:?}");
    let missing: Vec<&&str> = names.iter().filter(|name| !has_test(root, name)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

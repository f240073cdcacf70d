//! The guided installation as a person drives it, in a real pseudo-terminal.

use std::process::Command;

use rexpect::session::{PtySession, spawn_command};
use support::Sandbox;

use crate::TAILWATCH;

/// A checks' longest wait and then some.
const PATIENCE_MS: u64 = 180_000;

/// The questions that a complete answers file leaves, by a part of their labels.
const PREFILLED: [&str; 11] = [
    "Tailnet domain",
    "Grafana's name",
    "issuer",
    "client id",
    "Groups claim",
    "Allowed groups",
    "Retention of metrics",
    "Retention of logs",
    "StorageClass",
    "Volume for metrics",
    "continue to the plan",
];

/// A command that gets no variable but its own, in a pseudo-terminal where Ctrl-C counts even if the suite itself was
/// started in the background, with SIGINT ignored. It has 0 columns and rows, as with `docker run -t` or `kubectl exec`.
pub fn drive(command: Command) -> PtySession {
    let mut foreground = Command::new("/usr/bin/env");
    foreground.arg("--default-signal=INT,HUP").arg(command.get_program()).args(command.get_args()).env_clear();
    foreground.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    spawn_command(foreground, Some(PATIENCE_MS)).expect("a pseudo-terminal")
}

/// Waits for a question's label, then answers.
#[track_caller]
pub fn answer(session: &mut PtySession, label: &str, text: &str) {
    session.exp_string(label).unwrap_or_else(|error| panic!("{label}: {error}"));
    session.send_line(text).expect("the terminal takes a line");
}

pub fn exit_code(session: PtySession) -> i32 {
    match session.process().wait().expect("it ends") {
        rexpect::process::WaitStatus::Exited(_, code) => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_terminal_has_no_size() {
    let mut stty = Command::new("/usr/bin/env");
    stty.args(["stty", "size"]);
    assert_eq!(drive(stty).exp_eof().unwrap().trim(), "0 0");
}

#[test]
fn a_person_is_led_from_questions_to_a_verified_stack() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    let untouched = sandbox.changes().len();
    a_person_who_declines_changes_nothing(&sandbox);
    a_person_whose_kubeconfig_is_a_pipe_gets_to_the_questions(&sandbox);
    a_person_who_interrupts_leaves_nothing_behind(&sandbox);
    let changes = sandbox.changes().split_off(untouched);
    let ours: Vec<_> =
        changes.iter().filter(|(agent, ..)| !agent.starts_with("kube-") && !agent.starts_with("kwok")).collect();
    assert!(ours.iter().all(|(_, _, resource)| resource == "selfsubjectaccessreviews"), "{ours:#?}");
    a_person_who_agrees_gets_the_stack(&sandbox);
    a_rerun_shows_the_stack_and_asks_nothing_that_it_knows(&sandbox);
    a_terminal_without_a_cursor_is_enough(&sandbox);
}

fn a_person_who_declines_changes_nothing(sandbox: &Sandbox) {
    let mut command = sandbox.tailwatch_command(&[]);
    command.env_remove("AUTH0_CLIENT_SECRET");
    let mut session = drive(command);
    answer(&mut session, "Tailnet domain", "https://tail1a2b.ts.net");
    session.exp_string("not a URL").expect("the reason");
    answer(&mut session, "Tailnet domain", "tail1a2b");
    answer(&mut session, "Grafana's name on the tailnet", "<");
    session.exp_string("[tail1a2b.ts.net]").expect("the question before, with what was answered");
    session.send_line("").unwrap();
    answer(&mut session, "Grafana's name on the tailnet", "");
    session.exp_string("https://grafana.tail1a2b.ts.net/oauth2/callback").expect("the callback URL to register");
    answer(&mut session, "Auth0 issuer URL", "");
    session.exp_string("an answer is required").expect("the reason");
    answer(&mut session, "Auth0 issuer URL", "https://acme.eu.auth0.com");
    answer(&mut session, "Auth0 client id", "tailwatch-sandbox");
    answer(&mut session, "Auth0 client secret", sandbox.variable("AUTH0_CLIENT_SECRET"));
    answer(&mut session, "Groups claim", "groups");
    session.exp_string("drops a claim with this name").expect("the reason");
    answer(&mut session, "Groups claim", "https://acme.example/groups");
    session.exp_string("setCustomClaim(\"https://acme.example/groups\"").expect("the Action for Auth0");
    for label in ["Allowed groups", "Retention of metrics", "Retention of logs", "StorageClass", "Volume for metrics"] {
        answer(&mut session, label, "");
    }
    let asked = session.exp_string("Review of your answers:").expect("the summary");
    assert!(!asked.contains(sandbox.variable("AUTH0_CLIENT_SECRET")), "the secret was shown while it was typed");
    let summary = session.exp_string("continue to the plan").expect("the choice");
    assert!(summary.contains("https://acme.eu.auth0.com/") && summary.contains("typed"), "{summary}");
    assert!(!summary.contains(sandbox.variable("AUTH0_CLIENT_SECRET")), "the secret was shown in the summary");
    session.send_line("").unwrap();
    let plan = session.exp_string("as planned?").expect("the confirmation");
    for component in ["kube-prometheus-stack", "oauth2-proxy", "loki", "alloy"] {
        assert!(plan.contains(component), "{component}: {plan}");
    }
    session.send_line("").unwrap();
    session.exp_eof().expect("the end");
    assert_eq!(exit_code(session), 130);
    assert!(sandbox.releases().is_empty());
}

/// With two contexts, of which one is asked for.
fn a_person_whose_kubeconfig_is_a_pipe_gets_to_the_questions(sandbox: &Sandbox) {
    let view = sandbox.kubectl(&["config", "view", "--raw", "--flatten", "-o", "json"]);
    let mut document: serde_json::Value = view.parse().unwrap();
    let mut other = document["contexts"][0].clone();
    other["name"] = "other".into();
    document["contexts"].as_array_mut().unwrap().push(other);
    let file = sandbox.file("two-contexts.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let tailwatch = sandbox.tailwatch_command(&[]);
    let mut command = Command::new("/bin/bash");
    command.arg("-c").arg(r#"exec "$0" --kubeconfig <(cat "$1")"#).arg(tailwatch.get_program()).arg(&file);
    command.envs(tailwatch.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut session = drive(command);
    answer(&mut session, "Cluster (kubeconfig context)", "");
    session.exp_string("Tailnet domain").expect("the first question");
    session.send_control('c').unwrap();
    let _ = session.exp_eof().expect("the end");
    assert_eq!(exit_code(session), 130);
}

fn a_person_who_interrupts_leaves_nothing_behind(sandbox: &Sandbox) {
    for label in ["Tailnet domain", "StorageClass"] {
        let mut command = sandbox.tailwatch_command(&[]);
        command.env("TAILWATCH_ANSWERS", sandbox.answers());
        let mut session = drive(command);
        for earlier in PREFILLED.iter().take_while(|earlier| **earlier != label) {
            answer(&mut session, earlier, "");
        }
        session.exp_string(label).expect("the question");
        session.send_control('c').unwrap();
        let rest = session.exp_eof().expect("the end");
        assert!(!rest.contains("\u{1b}[?25l") || rest.contains("\u{1b}[?25h"), "{label}: the cursor stays hidden");
        assert_eq!(exit_code(session), 130, "{label}");
    }
}

fn a_person_who_agrees_gets_the_stack(sandbox: &Sandbox) {
    let mut command = sandbox.tailwatch_command(&[]);
    command.env("TAILWATCH_ANSWERS", sandbox.answers()).env("TAILWATCH_LOGIN_PORT", crate::sign_in::free_port());
    let mut session = drive(command);
    for label in PREFILLED {
        answer(&mut session, label, "");
    }
    answer(&mut session, "as planned?", "yes");
    let report = session.exp_string("Sign in now").expect("the offer");
    session.send_line("yes").unwrap();
    session.exp_string("Ctrl-C cancels").expect("the prompt to sign in");
    session.send_control('c').unwrap();
    let left = session.exp_eof().expect("the end");
    assert!(left.contains("tailwatch verify --login"), "{left}");
    for component in ["kube-prometheus-stack", "oauth2-proxy", "loki", "alloy"] {
        assert!(report.contains(component), "{component} is missing in:\n{report}");
    }
    assert!(report.contains("0 fail, 0 skip"), "{report}");
    assert_eq!(exit_code(session), 0);
    assert_eq!(sandbox.releases().len(), 4);
}

fn a_rerun_shows_the_stack_and_asks_nothing_that_it_knows(sandbox: &Sandbox) {
    let file = sandbox.file("from-the-review.yaml");
    let mut command = sandbox.tailwatch_command(&[]);
    command.env_remove("AUTH0_CLIENT_SECRET");
    let mut session = drive(command);
    let state = session.exp_string("Review of your answers:").expect("the review");
    assert!(state.contains("Installed in the namespace monitoring") && state.contains("deployed"), "{state}");
    session.exp_string("continue to the plan").expect("the choice");
    // Down twice, to the file.
    session.send("jj").unwrap();
    session.send_line("").unwrap();
    answer(&mut session, "File", &file.display().to_string());
    session.exp_string("is written").expect("the file");
    answer(&mut session, "continue to the plan", "");
    answer(&mut session, "Sign in now", "no");
    let end = session.exp_eof().expect("the end");
    assert!(!end.contains("as planned?"), "{end}");
    assert_eq!(exit_code(session), 0);
    let checked = sandbox.tailwatch(&["answers", "check", &file.display().to_string()]).ended_with(0);
    assert!(checked.stdout.contains("/oauth2/callback"), "{}", checked.stdout);
    let plan = sandbox.tailwatch(&["plan", "--exit-code", "--answers", &file.display().to_string()]);
    plan.ended_with(0);
}

/// Options are chosen by their numbers, and nothing that was written is drawn again.
fn a_terminal_without_a_cursor_is_enough(sandbox: &Sandbox) {
    for (variable, value) in [("TERM", "dumb"), ("ACCESSIBLE", "1")] {
        let mut command = sandbox.tailwatch_command(&["--color", "never"]);
        command.env(variable, value);
        let mut session = drive(command);
        let mut shown = session.exp_string("1. continue to the plan").expect("the options");
        answer(&mut session, "Next [1]: ", "2");
        answer(&mut session, "Which [1]: ", "one");
        shown += &session.exp_string("expected a number from 1 to 10").expect("the reason");
        answer(&mut session, "Which [1]: ", "8");
        shown += &session.exp_string("Retention of logs [7d]: ").expect("the question");
        session.send_line("6d").unwrap();
        answer(&mut session, "Next [1]: ", "");
        shown += &session.exp_string("as planned? [no]: ").expect("the confirmation");
        session.send_line("").unwrap();
        shown += &session.exp_eof().expect("the end");
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
        assert_eq!(exit_code(session), 130);
    }
}

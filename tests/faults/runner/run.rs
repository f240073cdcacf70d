//! One run of the binary: the reported diagnoses, their times, and the exit code.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

/// A diagnosis of an event.
#[derive(Clone, Debug)]
pub struct Named {
    pub at: Timestamp,
    /// Name of the event.
    pub event: String,
    pub component: String,
    pub rule: String,
    pub severity: String,
}

/// The result of a run.
#[derive(Debug, Default)]
pub struct Ran {
    pub started: Timestamp,
    /// When the step of each release began.
    pub begun: Vec<(Timestamp, String)>,
    pub code: Option<i32>,
    /// In the order in which they were reported.
    pub named: Vec<Named>,
    /// Messages of `step-finished` events of failed steps.
    pub failures: Vec<String>,
    /// Lines of stdout.
    pub stdout: Vec<String>,
    pub stderr: String,
}

/// When a run is terminated.
pub struct Until<'a> {
    /// The expected rule.
    pub rule: Option<&'a str>,
    /// Limit without the rule.
    pub at_most: Duration,
    /// Polled during the run; true ends it.
    pub is_enough: &'a mut dyn FnMut(&Ran) -> bool,
}

/// Time after the rule was reported in which another may replace it.
const SETTLE: Duration = Duration::from_millis(700);
const MOMENT: Duration = Duration::from_millis(100);
/// Limit from SIGTERM to the exit.
const EXIT_LIMIT: Duration = Duration::from_secs(12);

/// Runs `install` and reads its events as they come.
pub fn install(mut command: Command, until: Until<'_>) -> Ran {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut ran = Ran { started: Timestamp::now(), ..Ran::default() };
    let (lines, stderr) = (lines_of(&mut child), stderr_of(&mut child));
    let Until { mut rule, at_most, is_enough } = until;
    let mut end = Instant::now() + at_most;
    while Instant::now() < end {
        match lines.recv_timeout(MOMENT) {
            Ok(line) => ran.read(&line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if is_enough(&ran) {
            break;
        }
        if rule.is_some() && ran.named.iter().any(|named| Some(named.rule.as_str()) == rule) {
            rule = None;
            end = end.min(Instant::now() + SETTLE);
        }
    }
    ran.code = end_of(&mut child);
    lines.iter().for_each(|line| ran.read(&line));
    ran.stderr = stderr.recv().unwrap_or_default();
    ran
}

/// Runs `diagnose`, which prints one document with every finding.
pub fn diagnose(mut command: Command) -> Ran {
    let started = Timestamp::now();
    let output = command.stdin(Stdio::null()).output().unwrap();
    let at = Timestamp::now();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let found = document["findings"].as_array().into_iter().flatten();
    let named = found.map(|finding| Named::of(at, "diagnose", None, finding)).collect();
    let stdout = vec![text(&output.stdout)];
    Ran { started, code: output.status.code(), named, stdout, stderr: text(&output.stderr), ..Ran::default() }
}

impl Named {
    fn of(at: Timestamp, event: &str, step: Option<&Value>, finding: &Value) -> Named {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let component = step.unwrap_or(&finding["place"]["component"]);
        let (rule, severity) = (text(&finding["rule"]), text(&finding["severity"]));
        Named { at, event: event.to_owned(), component: text(component), rule, severity }
    }

    pub fn is_notice(&self) -> bool {
        self.severity == "notice"
    }
}

impl Ran {
    /// The check of the preflight that reported the fault before any change: the dry run of the fault's objects, or that
    /// of existing claims.
    pub fn reporting_check(&self) -> Option<&'static str> {
        let failed = |id: &&str| {
            self.stdout.iter().any(|line| {
                let event: Value = serde_json::from_str(line).unwrap_or_default();
                event["event"] == "check-finished" && event["id"] == *id && event["verdict"] == "fail"
            })
        };
        ["dry-run", "volume-claims"].into_iter().find(failed).filter(|_| self.code == Some(4))
    }

    /// When the step of a release began.
    pub fn step_of(&self, component: &str) -> Option<Timestamp> {
        self.begun.iter().find(|(_, of)| of == component).map(|(at, _)| *at)
    }

    fn read(&mut self, line: &str) {
        self.stdout.push(line.to_owned());
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let at: Timestamp = event["time"].as_str().and_then(|time| time.parse().ok()).expect("an event has a time");
        let kind = event["event"].as_str().unwrap_or_default();
        if kind == "step-finished" && event["outcome"] == "failed" {
            let causes = event["causes"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let message = event["message"].as_str().into_iter().chain(causes).collect::<Vec<_>>().join(": ");
            self.failures.push(format!("{}: {message}", event["component"].as_str().unwrap_or_default()));
        }
        if kind == "step-started" {
            self.begun.push((at, event["component"].as_str().unwrap_or_default().to_owned()));
        }
        if event["diagnosis"].is_object() {
            self.named.push(Named::of(at, kind, Some(&event["component"]), &event["diagnosis"]));
        }
        for finding in event["findings"].as_array().into_iter().flatten() {
            self.named.push(Named::of(at, kind, None, finding));
        }
    }
}

fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, lines) = channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    lines
}

fn stderr_of(child: &mut Child) -> Receiver<String> {
    let (sender, received) = channel();
    let mut stderr = child.stderr.take().unwrap();
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        sender.send(text)
    });
    received
}

/// Terminates a run that has not ended, at last with SIGKILL.
fn end_of(child: &mut Child) -> Option<i32> {
    let began = Instant::now();
    let mut terminated = false;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        // Its stdout may be closed shortly before its exit.
        if !terminated && began.elapsed() > Duration::from_millis(200) {
            support::signal(child.id(), support::Signal::SIGTERM);
            terminated = true;
        }
        if began.elapsed() > EXIT_LIMIT {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

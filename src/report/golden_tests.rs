//! Replays recorded events, with the clock that timed them, into an in-memory terminal and compares the screen at
//! chosen moments with `snapshots/`.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::event_reporter::Json;
use super::lines::Lines;
use super::live::bars::Bars;
use super::live::layout::Size;
use super::record::Record;
use super::replay_tests::{Memory, events, recorded, replay};
use super::reporter::Reporter;
use super::style::Style;
use super::wrap::Clock;
use super::{checks_overview, error_message, html, junit, retained_table};
use crate::engine::{EngineError, StepError};
use crate::error::{CommandError, Error};
use crate::event::{Event, RunOutcome, StepOutcome, TimedEvent};
use crate::foreign_text::{HOSTILE, assert_harmless, printable};
use crate::helm::HelmError;
use crate::known_errors::{self, API_ERRORS};
use crate::write_record::ClusterState;

/// A recorded run and the seconds at which the screen is compared.
const RUNS: [(&str, &[i64]); 6] = [
    ("good", &[1, 15, 40, 62, 80]),
    ("slow", &[15, 48, 57, 110, 170]),
    ("image-not-found", &[36, 50]),
    ("helm-refuses", &[20]),
    ("provisioning-failed", &[45, 60, 150]),
    ("uninstall", &[3, 7, 12]),
];
/// The recorded runs.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    RUNS.iter().map(|(name, _)| *name)
}

const SIZES: [Size; 2] = [Size { columns: 80, rows: 24 }, Size { columns: 120, rows: 40 }];
const PLAIN: Style = Style { color: false };

/// The end of the output: the verdicts, or the error as `main` renders it.
fn final_output(events: &[TimedEvent], size: Size) -> String {
    let Event::RunFinished(summary) = &events.last().unwrap().event else { panic!("no run-finished") };
    let now = events.last().unwrap().time;
    let retained = events.iter().find_map(|timed| match &timed.event {
        Event::Retained { objects } => Some(retained_table(objects, &PLAIN, size.columns)),
        _ => None,
    });
    match failed(events) {
        None if retained.is_some() => retained.unwrap(),
        Some(error) => error_message::text(&error, PLAIN, size.columns, &Clock { now, zone: TimeZone::UTC }),
        None => checks_overview(&summary.checks, &PLAIN, size.columns),
    }
}

/// The error that ended the run, from its event.
fn failed(events: &[TimedEvent]) -> Option<CommandError> {
    events.iter().find_map(|timed| {
        let Event::StepFinished { component, wave, outcome: StepOutcome::Failed, message, causes, diagnosis, .. } =
            &timed.event
        else {
            return None;
        };
        let (why, diagnosis) = (message.clone().unwrap(), diagnosis.clone());
        let source = match (why.strip_prefix("not ready, without progress for 120 s: "), causes.first()) {
            (Some(why), _) => StepError::Timeout { why: why.into(), after: Duration::from_secs(120), diagnosis },
            (None, None) => StepError::NotReady { diagnosis: diagnosis.unwrap() },
            (None, Some(helm)) => StepError::Helm { what: "apply the release", diagnosis: None, source: known(helm) },
        };
        let error = EngineError::Step { component: component.clone(), wave: *wave, rollback: None, source }.into();
        Some(CommandError::new(error, ClusterState::Changed))
    })
}

fn known(cause: &str) -> HelmError {
    let (_, stderr) = cause.split_once(": ").unwrap();
    let row = known_errors::find(API_ERRORS, stderr).unwrap();
    HelmError::Known { row, stderr: stderr.into() }
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn bars_match_the_snapshots() {
    for (run, moments) in RUNS {
        for size in SIZES {
            let events = events(run);
            let mut terminal = Memory::new(size);
            let mut bars = Bars::new(PLAIN, Box::new(terminal.clone()));
            let mut coming = events.iter().peekable();
            let mut shown = String::new();
            for seconds in moments {
                replay(&mut bars, &mut coming, events[0].time + SignedDuration::from_secs(*seconds));
                shown += &format!("----- after {seconds} s\n{}\n", terminal.rows().join("\n"));
            }
            replay(&mut bars, &mut coming, events.last().unwrap().time);
            bars.end();
            terminal.print(&final_output(&events, size));
            shown += &format!("----- at the end\n{}\n", terminal.all());
            snapshot(&format!("{run}-bars-{}x{}", size.columns, size.rows), &shown);
        }
    }
}

#[test]
fn lines_match_the_snapshots() {
    for (run, _) in RUNS {
        for size in SIZES {
            let events = events(run);
            let terminal = Memory::new(size);
            let mut lines = Lines::new(PLAIN, Box::new(terminal.clone()));
            replay(&mut lines, &mut events.iter().peekable(), events.last().unwrap().time);
            lines.end();
            let reported = terminal.written() + &final_output(&events, size);
            assert!(!reported.contains('\x1b'), "{reported:?}");
            snapshot(&format!("{run}-lines-{}", size.columns), &reported);
        }
    }
}

/// The recorded file is the expected output.
#[test]
fn json_output_equals_the_recorded_file() {
    for (run, _) in RUNS {
        let mut json = Json(Vec::new());
        for timed in events(run) {
            json.event(&timed);
        }
        assert_eq!(String::from_utf8(json.0).unwrap(), recorded(run), "{run}");
    }
}

/// A resize leaves nothing of the old frame, with or without reflow.
#[test]
fn a_resized_terminal_shows_what_a_new_one_would() {
    let [small, large] = SIZES;
    let above = "$ tailwatch install --answers answers.yaml\nnote: lines above the frame are kept\n";
    for resize in [Memory::resize as fn(&Memory, Size), Memory::reflow] {
        let events = events("slow");
        let mut terminal = Memory::new(large);
        terminal.print(above);
        let mut bars = Bars::new(PLAIN, Box::new(terminal.clone()));
        let mut coming = events.iter().peekable();
        for (at, size) in [(40, large), (57, small), (58, large), (59, small), (90, large)] {
            resize(&terminal, size);
            let until = events[0].time + SignedDuration::from_secs(at);
            replay(&mut bars, &mut coming, until);
            let mut fresh = Memory::new(size);
            fresh.print(above);
            replay(&mut Bars::new(PLAIN, Box::new(fresh.clone())), &mut events.iter().peekable(), until);
            assert_eq!(terminal.rows(), fresh.rows(), "{at} s");
        }
    }
}

/// From the 106th second on loki's pod starts.
#[test]
fn the_measured_remaining_time_counts_down() {
    let mut events = events("slow");
    for timed in &mut events {
        if let Event::StepProgress { waiting, remaining_seconds, .. } = &mut timed.event
            && waiting.as_deref() == Some("pod loki-0 is starting")
        {
            *remaining_seconds = Some(250);
        }
    }
    let until = events[0].time + SignedDuration::from_secs(110);
    let terminals = [Memory::new(SIZES[1]), Memory::new(SIZES[1])];
    let [bars, lines] = &terminals;
    replay(&mut Bars::new(PLAIN, Box::new(bars.clone())), &mut events.iter().peekable(), until);
    replay(&mut Lines::new(PLAIN, Box::new(lines.clone())), &mut events.iter().peekable(), until);
    assert!(bars.all().contains("1m 14s, usually 14s, about 4m 6s left"), "{}", bars.all());
    assert!(
        lines.written().contains("loki: waiting 0/1 ready: pod loki-0 is starting, about 4m 10s left\n"),
        "{}",
        lines.written()
    );
}

/// An event of which each text that the cluster, helm or a repository wrote is hostile.
pub(super) fn hostile(mut event: Value) -> Value {
    const FOREIGN: [&str; 11] =
        ["message", "waiting", "cause", "causes", "evidence", "hint", "detail", "reason", "log", "removal", "object"];
    fn replace(value: &mut Value, is_foreign: bool) {
        match value {
            Value::String(text) if is_foreign => text.push_str(HOSTILE),
            Value::Array(items) => items.iter_mut().for_each(|item| replace(item, is_foreign)),
            Value::Object(map) => {
                map.iter_mut().for_each(|(key, value)| replace(value, FOREIGN.contains(&key.as_str())))
            }
            _ => {}
        }
    }
    replace(&mut event, false);
    event
}

#[test]
fn hostile_text_is_harmless_in_every_reporter() {
    for run in names() {
        let parsed = recorded(run)
            .lines()
            .map(|line| serde_json::from_str::<TimedEvent>(&hostile(line.parse().unwrap()).to_string()))
            .collect::<Result<Vec<_>, _>>();
        let events = parsed.unwrap();
        let until = events.last().unwrap().time;
        let lines = Memory::new(SIZES[0]);
        replay(&mut Lines::new(Style { color: true }, Box::new(lines.clone())), &mut events.iter().peekable(), until);
        assert_harmless(&lines.written());

        let bars = Memory::new(SIZES[0]);
        replay(&mut Bars::new(Style { color: true }, Box::new(bars.clone())), &mut events.iter().peekable(), until);
        assert_harmless(&bars.all());
        for control in ["\u{1b}]", "\u{1b}[2J", "\u{1b}[8m", "\u{9b}", "\u{202e}"] {
            assert!(!bars.written().contains(control), "{run}: {control:?}");
        }

        let mut json = Json(Vec::new());
        events.iter().for_each(|timed| json.event(timed));
        assert_harmless(&String::from_utf8(json.0).unwrap());

        // What `main` writes at the end, by the functions that write to stdout and stderr.
        let text = printable(&final_output(&events, SIZES[0]));
        assert_harmless(&text);

        let record = Record::new("install");
        events.iter().for_each(|timed| record.event(timed));
        let ended = failed(&events).map_or(Ok(0), Err);
        record.conclude(&ended);
        let facts = record.facts();
        // No CI runner reads commands from these files.
        let files = [html::page(&facts), junit::document(&facts).unwrap()];
        files.iter().for_each(|text| assert_harmless(&text.replace("::", "").replace("##", "")));
    }
}

#[test]
fn an_unchanged_frame_is_not_drawn_again() {
    let events = events("slow");
    let terminal = Memory::new(SIZES[0]);
    let mut bars = Bars::new(PLAIN, Box::new(terminal.clone()));
    let until = events[0].time + SignedDuration::from_millis(57_500);
    replay(&mut bars, &mut events.iter().peekable(), until);
    let before = terminal.written().len();
    bars.tick(until + SignedDuration::from_millis(100));
    assert_eq!(terminal.written().len(), before);
    bars.tick(until + SignedDuration::from_secs(1));
    assert!(terminal.written().len() > before);
}

#[test]
fn the_bar_of_the_checks_is_removed_at_the_end() {
    let events = events("good");
    let checks = |timed: &&TimedEvent| matches!(timed.event, Event::ChecksStarted { .. } | Event::CheckFinished(_));
    let checks: Vec<TimedEvent> = events.iter().filter(checks).cloned().collect();
    let terminal = Memory::new(SIZES[0]);
    let mut bars = Bars::new(PLAIN, Box::new(terminal.clone()));
    replay(&mut bars, &mut checks.iter().peekable(), events[events.len() - 3].time);
    assert_eq!(terminal.all(), "checks   [==================  ]  15/16  prometheus-targets-up");
    bars.end();
    assert_eq!(terminal.all(), "");
}

#[test]
fn dropped_bars_leave_the_cursor_below_the_frame() {
    let events = events("good");
    let mut terminal = Memory::new(SIZES[0]);
    let mut bars = Bars::new(PLAIN, Box::new(terminal.clone()));
    replay(&mut bars, &mut events.iter().peekable(), events[0].time + SignedDuration::from_secs(30));
    let frame = terminal.all();
    drop(bars);
    terminal.print("thread panicked");
    assert_eq!(terminal.all(), format!("{frame}\nthread panicked"));
}

#[test]
fn a_small_terminal_shows_the_running_step() {
    let events = events("slow");
    let size = Size { columns: 50, rows: 5 };
    let terminal = Memory::new(size);
    let mut bars = Bars::new(PLAIN, Box::new(terminal.clone()));
    replay(&mut bars, &mut events.iter().peekable(), events[0].time + SignedDuration::from_secs(57));
    insta::assert_snapshot!(terminal.all(), @r"
    wave 32  loki                  6.46.0   0/1  21s…
             ! PersistentVolumeClaim storage-loki-0
                 has no volume: the provisioner of …
               next: check that the pods of the
    ");
}

/// Down to one column.
#[test]
fn every_line_is_narrower_than_the_terminal() {
    for (run, seconds) in [("slow", 57), ("good", 80)] {
        let events = events(run);
        let until = events[0].time + SignedDuration::from_secs(seconds);
        for columns in [1, 2, 3, 10, 20, 31, 33, 45, 57, 70, 79] {
            let terminal = Memory::new(Size { columns, rows: 24 });
            let mut bars = Bars::new(Style { color: true }, Box::new(terminal.clone()));
            replay(&mut bars, &mut events.iter().peekable(), until);
            let rows = terminal.rows();
            assert!(rows.iter().all(|row| row.chars().count() < columns), "{columns}: {rows:#?}");
            assert!(columns < 3 || rows.iter().any(|row| !row.is_empty()), "{columns}");
        }
    }
}

/// The terminal's own sixteen colours follow its theme, light or dark.
#[test]
fn only_the_sixteen_colours_are_used() {
    for (run, _) in RUNS {
        let events = events(run);
        let terminal = Memory::new(SIZES[0]);
        let mut bars = Bars::new(Style { color: true }, Box::new(terminal.clone()));
        replay(&mut bars, &mut events.iter().peekable(), events.last().unwrap().time);
        bars.end();
        let written = terminal.written();
        let codes = written.split("\x1b[").skip(1).filter_map(|rest| rest.split_once('m').map(|(codes, _)| codes));
        let codes = codes.filter(|codes| codes.chars().all(|c| c.is_ascii_digit() || c == ';'));
        let known = ["0", "1", "2", "31", "32", "33"];
        for code in codes.flat_map(|codes| codes.split(';')) {
            assert!(known.contains(&code), "{run}: {code}");
        }
        assert!(written.contains("\x1b[32m"), "{run}");
    }
}

#[test]
fn a_cancelled_step_is_not_called_failed() {
    let mut events = events("helm-refuses");
    for timed in &mut events {
        match &mut timed.event {
            Event::StepFinished { outcome, message, causes, hint, .. } if *outcome == StepOutcome::Failed => {
                (*outcome, *message, *causes, *hint) = (StepOutcome::Cancelled, None, Vec::new(), None);
            }
            Event::RunFinished(summary) => {
                summary.outcome = RunOutcome::Cancelled;
                summary.steps.iter_mut().filter(|step| step.outcome == StepOutcome::Failed).for_each(|step| {
                    step.outcome = StepOutcome::Cancelled;
                });
            }
            _ => {}
        }
    }
    let until = events.last().unwrap().time;
    let terminals = [Memory::new(SIZES[0]), Memory::new(SIZES[0])];
    let [bars, lines] = &terminals;
    let reporters: [Box<dyn Reporter>; 2] =
        [Box::new(Bars::new(PLAIN, Box::new(bars.clone()))), Box::new(Lines::new(PLAIN, Box::new(lines.clone())))];
    for mut reporter in reporters {
        replay(reporter.as_mut(), &mut events.iter().peekable(), until);
        reporter.end();
    }
    assert!(bars.all().contains("loki                  6.46.0   cancelled after 0.9s\n"), "{}", bars.all());
    assert!(lines.written().contains("] loki: cancelled after 0.9s\n"), "{}", lines.written());
    for terminal in terminals {
        assert!(!terminal.written().contains("failed"), "{}", terminal.written());
    }
    let mut json = Json(Vec::new());
    events.iter().for_each(|timed| json.event(timed));
    let json = String::from_utf8(json.0).unwrap();
    assert!(json.contains(r#""component":"loki","wave":32,"outcome":"cancelled""#), "{json}");

    let record = Record::new("install");
    events.iter().for_each(|timed| record.event(timed));
    record.conclude(&Err(CommandError::new(Error::Interrupted, ClusterState::Changed)));
    let facts = record.facts();
    let (junit, page) = (junit::document(&facts).unwrap(), html::page(&facts));
    assert!(junit.contains(r#"<skipped message="cancelled"/>"#), "{junit}");
    assert!(page.contains("cancelled after 0.9s") && page.contains("Interrupted; the cluster was changed"), "{page}");
}

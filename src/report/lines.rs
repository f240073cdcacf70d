//! One plain line per transition, for logs and screen readers.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::event::{Diagnosis, Event, Phase, Severity, TimedEvent, Verdict};
use crate::foreign_text::printable;
use crate::report::checks_table::how_many;
use crate::report::diagnosis_table::{Others, same_finding};
use crate::report::labels::{action_label, ending, phase_label, verdict_label, verdict_tone};
use crate::report::live::region::Terminal;
use crate::report::reporter::Reporter;
use crate::report::style::Style;
use crate::report::wrap::{one_line, whole};

/// A new reason is reported once it has lasted this long.
const QUIET_TIME: SignedDuration = SignedDuration::from_secs(5);
/// The same text is reported at most once in this time.
const REPEAT_TIME: SignedDuration = SignedDuration::from_mins(5);

pub(super) struct Lines {
    style: Style,
    terminal: Box<dyn Terminal>,
    started: Option<Timestamp>,
    versions: BTreeMap<String, String>,
    reported: BTreeMap<String, Reported>,
    others: Others,
}

/// What was reported of a running step.
struct Reported {
    ready: u32,
    at: Timestamp,
    texts: BTreeMap<String, Timestamp>,
    /// A text that came within [`QUIET_TIME`] of the last line.
    held: Option<String>,
    /// Why it takes longer than usual.
    delay: Option<Diagnosis>,
    /// Rules that a progress event had.
    rules: BTreeSet<String>,
}

impl Reported {
    fn new(now: Timestamp) -> Reported {
        Reported { ready: 0, at: now, texts: BTreeMap::new(), held: None, delay: None, rules: BTreeSet::new() }
    }

    /// Whether to write the text now; remembers it if so.
    fn is_due(&mut self, now: Timestamp, text: &str, change: Change) -> bool {
        self.held = None;
        if self.texts.get(text).is_some_and(|at| now.duration_since(*at) < REPEAT_TIME) {
            return false;
        }
        if change == Change::Minor && now.duration_since(self.at) < QUIET_TIME {
            self.held = Some(text.to_owned());
            return false;
        }
        self.at = now;
        self.texts.insert(text.to_owned(), now);
        true
    }
}

/// How much a progress event changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Another reason or phase.
    Minor,
    /// More or fewer workloads are ready, or another rule of the diagnosis matches.
    Major,
}

impl Lines {
    pub(super) fn new(style: Style, terminal: Box<dyn Terminal>) -> Lines {
        Lines {
            style,
            terminal,
            started: None,
            versions: BTreeMap::new(),
            reported: BTreeMap::new(),
            others: Others::default(),
        }
    }

    /// A closed stderr must not stop the run.
    fn write(&mut self, text: &str) {
        let _ = self.terminal.write_all(printable(text).as_bytes());
    }

    fn line(&mut self, now: Timestamp, text: &str) {
        let elapsed = now.duration_since(*self.started.get_or_insert(now)).as_secs_f64();
        self.write(&format!("[{elapsed:6.1}s] {text}\n"));
    }

    fn below(&mut self, label: &str, text: &str) {
        self.write(&format!("          {label}: {}\n", one_line(text)));
    }

    fn progress(&mut self, now: Timestamp, event: &Event) {
        let Event::StepProgress { component, phase, ready, desired, waiting, remaining_seconds, diagnosis, .. } = event
        else {
            return;
        };
        let Some(reported) = self.reported.get_mut(component) else { return };
        // Either nothing is known yet or the step is done; the next event reports it.
        if *phase == Phase::Waiting && waiting.is_none() {
            return;
        }
        let already_reported = |delay: &Diagnosis| diagnosis.as_ref().is_some_and(|now| same_finding(delay, now));
        if reported.ready == *ready && reported.delay.as_ref().is_some_and(already_reported) {
            return;
        }
        let counts = if *desired > 0 { format!(" {ready}/{desired} ready") } else { String::new() };
        let reason = waiting.as_ref().map(|why| format!(": {}", one_line(why))).unwrap_or_default();
        let remaining = remaining_seconds.and_then(|seconds| i64::try_from(seconds).ok());
        let left = remaining.map(|seconds| format!(", about {} left", whole(SignedDuration::from_secs(seconds))));
        let text = format!("{component}: {}{counts}{reason}{}", phase_label(*phase), left.unwrap_or_default());
        let is_new_rule = diagnosis.as_ref().is_some_and(|found| reported.rules.insert(found.rule.clone()));
        let is_major = is_new_rule || (reported.ready != *ready && ready < desired);
        let change = if is_major { Change::Major } else { Change::Minor };
        if reported.is_due(now, &text, change) {
            reported.ready = *ready;
            self.line(now, &text);
        }
    }

    fn delayed(&mut self, now: Timestamp, event: &Event) {
        let Event::StepDelayed { component, usual_seconds, waiting, diagnosis, .. } = event else { return };
        let diagnosis = diagnosis.as_deref();
        let usual = usual_seconds.and_then(|seconds| i64::try_from(seconds).ok());
        let usual =
            usual.map(|seconds| format!(" ({})", whole(SignedDuration::from_secs(seconds)))).unwrap_or_default();
        let how = match diagnosis.map(|diagnosis| diagnosis.severity) {
            Some(Severity::Fatal) => "blocked".to_owned(),
            _ => format!("takes longer than usual{usual}"),
        };
        let why = diagnosis.map_or_else(|| one_line(waiting), found);
        if let Some(reported) = self.reported.get_mut(component) {
            (reported.at, reported.held, reported.delay) = (now, None, diagnosis.cloned());
        }
        self.line(now, &format!("{component}: {how}: {why}"));
        if let Some(diagnosis) = diagnosis.filter(|diagnosis| !diagnosis.hint.is_empty()) {
            self.below("next", &diagnosis.hint);
        }
    }
}

fn found(diagnosis: &Diagnosis) -> String {
    format!("{}: {}", diagnosis.rule, one_line(&diagnosis.cause))
}

impl Reporter for Lines {
    fn event(&mut self, timed: &TimedEvent) {
        let now = timed.time;
        self.others.apply(&timed.event);
        match &timed.event {
            Event::RunStarted { context, namespace, steps, .. } => {
                self.versions = steps.iter().map(|step| (step.component.clone(), step.chart_version.clone())).collect();
                let context = context.as_ref().map(|name| format!(", context {name}")).unwrap_or_default();
                let namespace = namespace.as_ref().map(|name| format!(", namespace {name}")).unwrap_or_default();
                self.line(now, &format!("{} steps{context}{namespace}", steps.len()));
            }
            Event::StepStarted { component, action, wave } => {
                self.reported.insert(component.clone(), Reported::new(now));
                let version = self.versions.get(component).cloned().unwrap_or_default();
                let what = format!("{component} {version}");
                self.line(now, &format!("wave {wave}: {}: {}", what.trim_end(), action_label(*action)));
            }
            Event::StepProgress { .. } => self.progress(now, &timed.event),
            Event::StepDelayed { .. } => self.delayed(now, &timed.event),
            Event::StepFinished { component, outcome, seconds, message, .. } => {
                self.reported.remove(component);
                let ending = ending(*outcome, *seconds, self.style);
                let why = message.as_deref().map(|why| format!(": {}", one_line(why))).unwrap_or_default();
                self.line(now, &format!("{component}: {ending}{why}"));
            }
            Event::Notice { message, hint } => {
                self.line(now, &one_line(message));
                if let Some(hint) = hint {
                    self.below("hint", hint);
                }
            }
            Event::ChecksStarted { checks } => self.line(now, &how_many(checks.len())),
            Event::CheckFinished(check) if check.verdict == Verdict::Fail => {
                let verdict = self.style.paint(verdict_tone(check.verdict), verdict_label(check.verdict));
                self.line(now, &format!("{verdict} {}: {}", check.id, one_line(&check.detail)));
            }
            // A wave is reported by its steps, the others at the end.
            Event::WaveStarted { .. } | Event::WaveFinished { .. } => {}
            Event::CheckFinished(_) | Event::Diagnosed { .. } | Event::Retained { .. } | Event::RunFinished(_) => {}
        }
    }

    fn tick(&mut self, now: Timestamp) {
        let due = |reported: &mut Reported| {
            let text = reported.held.take()?;
            reported.is_due(now, &text, Change::Minor).then_some(text)
        };
        let texts: Vec<String> = self.reported.values_mut().filter_map(due).collect();
        for text in texts {
            self.line(now, &text);
        }
    }

    fn end(&mut self) {
        let others = self.others.text(self.style, self.terminal.text_width());
        self.write(&others);
    }
}

//! One plain line a transition, for logs and screen readers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::event::{ActionKind, Event, Phase, Stamped, StepOutcome, Verdict};
use crate::report::style::{Style, Tone};
use crate::report::{Reporter, write_stderr};

/// A reason that changes faster than this is not repeated.
const QUIET_TIME: Duration = Duration::from_secs(5);

pub(super) struct Lines {
    style: Style,
    started: Instant,
    versions: BTreeMap<String, String>,
    shown: BTreeMap<String, Shown>,
}

struct Shown {
    phase: Phase,
    ready: u32,
    waiting: Option<String>,
    at: Instant,
}

impl Lines {
    pub(super) fn new(style: Style) -> Lines {
        Lines { style, started: Instant::now(), versions: BTreeMap::new(), shown: BTreeMap::new() }
    }

    fn line(&self, text: &str) {
        write_stderr(&format!("[{:6.1}s] {text}\n", self.started.elapsed().as_secs_f64()));
    }

    fn progress(&mut self, event: &Event) {
        let Event::StepProgress { component, phase, ready, desired, waiting, .. } = event else { return };
        let now = Instant::now();
        if let Some(shown) = self.shown.get(component) {
            let same = shown.phase == *phase && shown.ready == *ready;
            let soon = now.duration_since(shown.at) < QUIET_TIME;
            if same && (soon || shown.waiting == *waiting) {
                return;
            }
        }
        let shown = Shown { phase: *phase, ready: *ready, waiting: waiting.clone(), at: now };
        self.shown.insert(component.clone(), shown);
        let counts = if *desired > 0 { format!(" {ready}/{desired} ready") } else { String::new() };
        let reason = waiting.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        self.line(&format!("{component}: {}{counts}{reason}", phase_words(*phase)));
    }
}

pub(super) fn phase_words(phase: Phase) -> &'static str {
    match phase {
        Phase::Fetching => "fetching the chart",
        Phase::Applying => "applying our objects",
        Phase::Helm => "helm applies",
        Phase::Waiting => "waiting",
    }
}

pub(super) fn outcome_words(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Installed => "installed",
        StepOutcome::Upgraded => "upgraded",
        StepOutcome::Repaired => "repaired",
        StepOutcome::Unchanged => "unchanged",
        StepOutcome::Skipped => "skipped",
        StepOutcome::Failed => "failed",
    }
}

pub(super) fn action_words(action: ActionKind) -> &'static str {
    match action {
        ActionKind::Install => "install",
        ActionKind::Upgrade => "upgrade",
        ActionKind::Repair => "repair",
        ActionKind::Unchanged => "unchanged",
    }
}

pub(super) fn outcome_tone(outcome: StepOutcome) -> Tone {
    match outcome {
        StepOutcome::Installed | StepOutcome::Upgraded | StepOutcome::Repaired => Tone::Good,
        StepOutcome::Unchanged | StepOutcome::Skipped => Tone::Faint,
        StepOutcome::Failed => Tone::Bad,
    }
}

pub(super) fn verdict_tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Pass => Tone::Good,
        Verdict::Warn => Tone::Doubtful,
        Verdict::Fail => Tone::Bad,
        Verdict::Skip => Tone::Faint,
    }
}

pub(super) fn verdict_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Warn => "warn",
        Verdict::Fail => "FAIL",
        Verdict::Skip => "skip",
    }
}

impl Reporter for Lines {
    fn event(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::RunStarted { context, namespace, steps, .. } => {
                self.versions = steps.iter().map(|step| (step.component.clone(), step.chart_version.clone())).collect();
                let context = context.as_ref().map(|name| format!(", context {name}")).unwrap_or_default();
                self.line(&format!("{} steps{context}, namespace {namespace}", steps.len()));
            }
            Event::WaveStarted { wave } => self.line(&format!("wave {wave}")),
            Event::StepStarted { component, action, .. } => {
                let version = self.versions.get(component).cloned().unwrap_or_default();
                self.line(&format!("{component} {version}: {}", action_words(*action)));
            }
            Event::StepProgress { .. } => self.progress(&stamped.event),
            Event::StepFinished { component, outcome, seconds, message, .. } => {
                let words = self.style.paint(outcome_tone(*outcome), outcome_words(*outcome));
                let message = message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
                self.line(&format!("{component}: {words} ({seconds:.1} s){message}"));
            }
            Event::WaveFinished { wave, seconds } => self.line(&format!("wave {wave} is ready ({seconds:.1} s)")),
            Event::Notice { message, .. } => self.line(message),
            Event::ChecksStarted { checks } => self.line(&format!("{} checks", checks.len())),
            Event::CheckFinished(check) if check.verdict == Verdict::Fail => {
                let verdict = self.style.paint(verdict_tone(check.verdict), verdict_words(check.verdict));
                self.line(&format!("{verdict} {}: {}", check.id, check.detail));
            }
            Event::StepDelayed { .. } | Event::Diagnosed { .. } | Event::CheckFinished(_) | Event::RunFinished(_) => {}
        }
    }
}

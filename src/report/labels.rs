//! Labels and tones of an event's values, shared by bars, lines and tables.

use crate::event::{ActionKind, Phase, Severity, StepOutcome, Verdict};
use crate::report::style::{Style, Tone};
use crate::report::wrap::took;

pub(super) fn phase_label(phase: Phase) -> &'static str {
    match phase {
        Phase::Fetching => "fetching the chart",
        Phase::Applying => "applying own objects",
        Phase::Helm => "helm applies",
        Phase::Waiting => "waiting",
        Phase::RollingBack => "rolling back",
        Phase::Removing => "removing",
    }
}

pub(super) fn outcome_label(outcome: StepOutcome) -> (&'static str, Tone) {
    match outcome {
        StepOutcome::Installed => ("installed", Tone::Good),
        StepOutcome::Upgraded => ("upgraded", Tone::Good),
        StepOutcome::Repaired => ("repaired", Tone::Good),
        StepOutcome::Removed => ("removed", Tone::Good),
        StepOutcome::Unchanged => ("unchanged", Tone::Faint),
        StepOutcome::Skipped => ("not started", Tone::Faint),
        StepOutcome::Failed => ("failed", Tone::Bad),
        StepOutcome::Cancelled => ("cancelled", Tone::Warning),
    }
}

/// How a step ended and how long it took, e.g. `installed in 13s`.
pub(super) fn ending(outcome: StepOutcome, seconds: f64, style: Style) -> String {
    let (words, tone) = outcome_label(outcome);
    let words = style.paint(tone, words);
    match outcome {
        StepOutcome::Installed | StepOutcome::Upgraded | StepOutcome::Repaired | StepOutcome::Removed => {
            format!("{words} in {}", took(seconds))
        }
        StepOutcome::Failed | StepOutcome::Cancelled => format!("{words} after {}", took(seconds)),
        StepOutcome::Unchanged | StepOutcome::Skipped => words,
    }
}

pub(super) fn action_label(action: ActionKind) -> &'static str {
    match action {
        ActionKind::Install => "install",
        ActionKind::Upgrade => "upgrade",
        ActionKind::Repair => "repair",
        ActionKind::Unchanged => "unchanged",
        ActionKind::Remove => "remove",
    }
}

pub(super) fn severity_label(severity: Severity) -> &'static str {
    match severity {
        Severity::Fatal => "blocked",
        Severity::Deadline => "may recover",
        Severity::Notice => "worth knowing",
    }
}

pub(super) fn severity_tone(severity: Severity) -> Tone {
    match severity {
        Severity::Fatal => Tone::Bad,
        Severity::Deadline => Tone::Warning,
        Severity::Notice => Tone::Strong,
    }
}

pub(super) fn verdict_tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Pass => Tone::Good,
        Verdict::Warn => Tone::Warning,
        Verdict::Fail => Tone::Bad,
        Verdict::Skip => Tone::Faint,
    }
}

pub(super) fn verdict_label(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Warn => "warn",
        Verdict::Fail => "FAIL",
        Verdict::Skip => "skip",
    }
}

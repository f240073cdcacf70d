//! What became of each component in a run that failed, was interrupted, or removed the stack. The end of an installation
//! names the address instead.

use crate::event::{RunOutcome, RunSummary, StepOutcome};
use crate::report::wrap::{took, wrap};

const GROUPS: [(StepOutcome, &str); 8] = [
    (StepOutcome::Installed, "Installed"),
    (StepOutcome::Upgraded, "Upgraded"),
    (StepOutcome::Repaired, "Repaired"),
    (StepOutcome::Removed, "Removed"),
    (StepOutcome::Unchanged, "Unchanged"),
    (StepOutcome::Failed, "Failed"),
    (StepOutcome::Cancelled, "Cancelled"),
    (StepOutcome::Skipped, "Not started"),
];

/// The duration and the components by outcome; empty after an installation, and if no plan was executed.
pub(super) fn steps_summary(summary: &RunSummary, width: usize) -> String {
    let of = |outcome| summary.steps.iter().filter(move |step| step.outcome == outcome);
    let word = match summary.outcome {
        RunOutcome::Failed | RunOutcome::VerificationFailed => "Failed after",
        RunOutcome::Cancelled => "Interrupted after",
        RunOutcome::Succeeded if of(StepOutcome::Removed).count() == summary.steps.len() => "Done in",
        _ => return String::new(),
    };
    if summary.steps.is_empty() {
        return String::new();
    }
    let mut text = format!("{word} {}.", took(summary.seconds));
    for (outcome, label) in GROUPS {
        let names: Vec<&str> = of(outcome).map(|step| step.component.as_str()).collect();
        if !names.is_empty() {
            text += &format!(" {label}: {}.", names.join(", "));
        }
    }
    format!("\n{}\n", wrap(&text, "  ", width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::StepResult;

    fn summary(outcome: RunOutcome, steps: &[(&str, StepOutcome)]) -> String {
        let steps = steps.iter().map(|(component, outcome)| StepResult {
            component: (*component).into(),
            wave: 30,
            outcome: *outcome,
            seconds: 1.0,
        });
        let summary = RunSummary {
            outcome,
            cluster_changed: true,
            error: None,
            steps: steps.collect(),
            checks: Vec::new(),
            seconds: 67.2,
            peak_rss_kib: 0,
            api_requests: Default::default(),
        };
        steps_summary(&summary, 60)
    }

    #[test]
    fn a_failed_or_interrupted_run_and_a_removal_name_each_component() {
        let steps = [
            ("kube-prometheus-stack", StepOutcome::Installed),
            ("oauth2-proxy", StepOutcome::Installed),
            ("loki", StepOutcome::Failed),
            ("alloy", StepOutcome::Skipped),
        ];
        insta::assert_snapshot!(summary(RunOutcome::Failed, &steps), @r"

        Failed after 1m 7s. Installed: kube-prometheus-stack,
          oauth2-proxy. Failed: loki. Not started: alloy.
        ");
        let removed = [("loki", StepOutcome::Removed), ("own-objects", StepOutcome::Removed)];
        assert!(summary(RunOutcome::Succeeded, &removed).contains("Removed: loki, own-objects."));
        assert!(summary(RunOutcome::Cancelled, &removed[..1]).starts_with("\nInterrupted after"));
        assert_eq!(summary(RunOutcome::Succeeded, &steps[..2]), "");
        assert_eq!(summary(RunOutcome::Failed, &[]), "");
    }
}

//! What became of each component in a run that failed, was interrupted, or removed the stack. The end of an installation
//! names the address instead.

use crate::event::{RunOutcome, RunSummary, StepOutcome};
use crate::report::labels::outcome_label;
use crate::report::wrap::{capitalised, took, wrap};

const ORDER: [StepOutcome; 8] = [
    StepOutcome::Installed,
    StepOutcome::Upgraded,
    StepOutcome::Repaired,
    StepOutcome::Removed,
    StepOutcome::Unchanged,
    StepOutcome::Failed,
    StepOutcome::Cancelled,
    StepOutcome::Skipped,
];

/// The duration and the components by outcome; empty after an installation, and if no plan was executed.
pub(super) fn steps_summary(summary: &RunSummary, width: usize) -> String {
    let RunSummary { outcome, steps, seconds, .. } = summary;
    let word = match outcome {
        _ if steps.is_empty() => return String::new(),
        RunOutcome::Failed | RunOutcome::VerificationFailed => "Failed after",
        RunOutcome::Cancelled => "Interrupted after",
        RunOutcome::Succeeded if steps.iter().all(|step| step.outcome == StepOutcome::Removed) => "Done in",
        _ => return String::new(),
    };
    let mut text = format!("{word} {}.", took(*seconds));
    for outcome in ORDER {
        let of_outcome = steps.iter().filter(|step| step.outcome == outcome);
        let names: Vec<&str> = of_outcome.map(|step| step.component.as_str()).collect();
        if !names.is_empty() {
            text += &format!(" {}: {}.", capitalised(outcome_label(outcome).0), names.join(", "));
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

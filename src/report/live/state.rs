//! State of a run, from its events alone. Has no drawing and no clock.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::event::{Diagnosis, Event, Phase, PlannedStep, StepOutcome, TimedEvent, Verdict};
use crate::report::diagnosis_table::same_finding;

/// State of a run after the events so far.
#[derive(Debug, Default)]
pub(in crate::report) struct Board {
    /// In the order of the plan.
    pub(in crate::report) steps: Vec<Step>,
    pub(in crate::report) checks: Option<Checks>,
}

/// A step of the plan.
#[derive(Debug)]
pub(in crate::report) struct Step {
    pub(in crate::report) planned: PlannedStep,
    pub(in crate::report) state: State,
}

#[derive(Debug)]
pub(in crate::report) enum State {
    Pending,
    Running(Running),
    Finished { outcome: StepOutcome, seconds: f64 },
}

/// State of a running step.
#[derive(Debug)]
pub(in crate::report) struct Running {
    pub(in crate::report) since: Timestamp,
    pub(in crate::report) phase: Phase,
    /// Ready and desired workloads, once known.
    pub(in crate::report) counts: Option<(u32, u32)>,
    pub(in crate::report) waiting: Option<String>,
    /// Expected end, from the rate of the rollout.
    pub(in crate::report) ends: Option<Timestamp>,
    pub(in crate::report) delay: Option<Delay>,
}

/// Why a step waits longer than usual.
#[derive(Debug)]
pub(in crate::report) struct Delay {
    pub(in crate::report) waiting: String,
    pub(in crate::report) diagnosis: Option<Box<Diagnosis>>,
}

/// Progress of the verification.
#[derive(Debug)]
pub(in crate::report) struct Checks {
    pub(in crate::report) total: usize,
    pub(in crate::report) open: BTreeSet<String>,
    pub(in crate::report) failed: usize,
}

impl Board {
    /// Applies an event.
    pub(in crate::report) fn apply(&mut self, timed: &TimedEvent) {
        match &timed.event {
            Event::RunStarted { steps, .. } => {
                let pending = |planned: &PlannedStep| Step { planned: planned.clone(), state: State::Pending };
                self.steps = steps.iter().map(pending).collect();
            }
            Event::StepStarted { component, .. } => {
                let running = Running {
                    since: timed.time,
                    phase: Phase::Applying,
                    counts: None,
                    waiting: None,
                    ends: None,
                    delay: None,
                };
                self.enter(component, State::Running(running));
            }
            Event::StepProgress { component, .. } | Event::StepDelayed { component, .. } => {
                if let Some(running) = self.running(component) {
                    running.apply(timed);
                }
            }
            Event::StepFinished { component, outcome, seconds, .. } => {
                let state = State::Finished { outcome: *outcome, seconds: *seconds };
                self.enter(component, state);
            }
            Event::ChecksStarted { checks } => {
                self.checks = Some(Checks { total: checks.len(), open: checks.iter().cloned().collect(), failed: 0 });
            }
            Event::CheckFinished(check) => {
                if let Some(checks) = &mut self.checks {
                    checks.open.remove(&check.id);
                    checks.failed += usize::from(check.verdict == Verdict::Fail);
                }
            }
            Event::WaveStarted { .. }
            | Event::WaveFinished { .. }
            | Event::Diagnosed { .. }
            | Event::Notice { .. }
            | Event::Retained { .. }
            | Event::RunFinished(_) => {}
        }
    }

    pub(in crate::report) fn has_failed(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.state, State::Finished { outcome: StepOutcome::Failed, .. }))
    }

    fn enter(&mut self, component: &str, state: State) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.planned.component == component) {
            step.state = state;
        }
    }

    fn running(&mut self, component: &str) -> Option<&mut Running> {
        self.steps.iter_mut().find(|step| step.planned.component == component).and_then(|step| match &mut step.state {
            State::Running(running) => Some(running),
            State::Pending | State::Finished { .. } => None,
        })
    }
}

impl Running {
    fn apply(&mut self, timed: &TimedEvent) {
        match &timed.event {
            Event::StepProgress { phase, ready, desired, waiting, remaining_seconds, diagnosis, .. } => {
                self.phase = *phase;
                // At its begin a phase has no data: keep the previous one.
                if *desired == 0 && waiting.is_none() {
                    return;
                }
                self.counts = (*desired > 0).then_some((*ready, *desired));
                self.waiting.clone_from(waiting);
                let remaining = remaining_seconds.and_then(|seconds| i64::try_from(seconds).ok());
                self.ends = remaining.map(|seconds| timed.time + SignedDuration::from_secs(seconds));
                if self.delay.as_ref().is_some_and(|delay| delay.is_over(waiting.as_deref(), diagnosis.as_deref())) {
                    self.delay = None;
                }
            }
            Event::StepDelayed { waiting, diagnosis, .. } => {
                self.delay = Some(Delay { waiting: waiting.clone(), diagnosis: diagnosis.clone() });
            }
            _ => {}
        }
    }
}

impl Delay {
    /// Whether the step now waits for something else. A delay without a diagnosis lasts until the end of the step.
    fn is_over(&self, waiting: Option<&str>, diagnosis: Option<&Diagnosis>) -> bool {
        let Some(known) = &self.diagnosis else { return false };
        !diagnosis.is_some_and(|now| same_finding(known, now)) && waiting != Some(&self.waiting)
    }
}

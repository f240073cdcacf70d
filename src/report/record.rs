//! The data of the report files: from the events, and from the command where no event has it. Everything is redacted
//! before it is recorded.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::error::{CommandError, Error, INTERRUPTED};
use crate::event::{ActionKind, CheckResult, Event, PlannedStep, RunError, StepOutcome, StepResult, TimedEvent};
use crate::report::error_message::run_error;

/// The recorded run. Cheap to clone; every clone writes into the same record.
#[derive(Clone, Debug)]
pub struct Record(Arc<Mutex<Facts>>);

/// Cluster and tools of a run.
#[derive(Clone, Debug)]
pub struct RunEnvironment {
    /// kubeconfig context, when known.
    pub context: Option<String>,
    /// Namespace of the stack.
    pub namespace: String,
    /// Address of Grafana.
    pub address: String,
    /// Version of Kubernetes.
    pub kubernetes: String,
    /// Version of helm.
    pub helm: String,
}

/// A component of the stack and its versions.
#[derive(Clone, Debug)]
pub struct Component {
    /// Component name = release name.
    pub name: String,
    /// Version of its chart.
    pub chart_version: String,
    /// Version of the application that the chart names, when known.
    pub app_version: Option<String>,
    /// State of its release, unless the run has a step for it.
    pub state: ComponentState,
}

/// State of a release.
#[derive(Clone, Debug)]
pub enum ComponentState {
    /// helm's status, e.g. `deployed`.
    Installed(String),
    /// The action of the plan.
    Planned(ActionKind),
}

/// How the command ended.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    /// Successfully.
    Succeeded,
    /// Checks failed.
    ChecksFailed,
    /// By the user or a signal.
    Interrupted(Failure),
    /// With an error.
    Failed(Failure),
}

/// Why something failed.
#[derive(Clone, Debug, Default)]
pub(super) struct Failure {
    pub(super) message: String,
    /// Outermost first.
    pub(super) causes: Vec<String>,
    pub(super) next: Option<String>,
}

impl Failure {
    fn of(error: &CommandError) -> Failure {
        let RunError { message, causes, hint, .. } = run_error(error);
        Failure { message, causes, next: hint }
    }
}

/// A step, as planned and as executed.
#[derive(Clone, Debug)]
pub(super) struct StepFacts {
    pub(super) planned: PlannedStep,
    pub(super) started: Option<Timestamp>,
    pub(super) ended: Option<StepEnd>,
}

/// How a step ended.
#[derive(Clone, Debug)]
pub(super) struct StepEnd {
    pub(super) outcome: StepOutcome,
    pub(super) seconds: f64,
    pub(super) failure: Failure,
}

/// Everything that is recorded.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) command: &'static str,
    pub(super) begun: Timestamp,
    pub(super) ended: Timestamp,
    pub(super) surroundings: Option<RunEnvironment>,
    pub(super) components: Vec<Component>,
    pub(super) steps: Vec<StepFacts>,
    pub(super) checks: Vec<CheckResult>,
    /// Ids of the checks that were started, in the order of the report.
    pub(super) requested: Vec<String>,
    /// Whether the run has sent its last event.
    finished: bool,
    /// Context and namespace.
    place: Option<(Option<String>, String)>,
    pub(super) ending: Ending,
}

impl Facts {
    /// Replaces an earlier result of the same check.
    pub(super) fn check(&mut self, result: &CheckResult) {
        match self.checks.iter_mut().find(|check| check.id == result.id) {
            Some(check) => check.clone_from(result),
            None => self.checks.push(result.clone()),
        }
    }

    fn step(&mut self, component: &str) -> Option<&mut StepFacts> {
        self.steps.iter_mut().find(|step| step.planned.component == component)
    }

    pub(super) fn apply(&mut self, timed: &TimedEvent) {
        match &timed.event {
            Event::RunStarted { steps, .. } => {
                let facts = |planned: &PlannedStep| StepFacts { planned: planned.clone(), started: None, ended: None };
                self.steps = steps.iter().map(facts).collect();
            }
            Event::StepStarted { component, .. } => {
                if let Some(step) = self.step(component) {
                    step.started = Some(timed.time);
                }
            }
            Event::StepFinished { component, outcome, seconds, message, causes, hint, diagnosis, .. } => {
                let found = diagnosis.as_ref();
                let mut causes = causes.clone();
                if let Some(cause) = found.map(|found| &found.cause).filter(|cause| !causes.contains(cause)) {
                    causes.push(cause.clone());
                }
                let next = found.map(|found| found.hint.clone()).or_else(|| hint.clone());
                let failure = Failure { message: message.clone().unwrap_or_default(), causes, next };
                if let Some(step) = self.step(component) {
                    step.ended = Some(StepEnd { outcome: *outcome, seconds: *seconds, failure });
                }
            }
            Event::ChecksStarted { checks } => self.requested.clone_from(checks),
            Event::CheckFinished(result) => self.check(result),
            Event::RunFinished(_) => self.finished = true,
            _ => {}
        }
    }

    /// The preflight checks, then the checks of the stack in the order of the report.
    pub(super) fn ordered_checks(&self) -> Vec<CheckResult> {
        let mut checks = self.checks.clone();
        checks.sort_by_key(|check| self.requested.iter().position(|id| *id == check.id));
        checks
    }

    pub(super) fn failed_step(&self) -> Option<(&StepFacts, &StepEnd)> {
        let ended = self.steps.iter().filter_map(|step| Some((step, step.ended.as_ref()?)));
        ended.into_iter().find(|(_, end)| end.outcome == StepOutcome::Failed)
    }
}

impl Record {
    /// Starts the record of a subcommand.
    pub fn new(command: &'static str) -> Record {
        let now = Timestamp::now();
        Record(Arc::new(Mutex::new(Facts {
            command,
            begun: now,
            ended: now,
            surroundings: None,
            components: Vec::new(),
            steps: Vec::new(),
            checks: Vec::new(),
            requested: Vec::new(),
            finished: false,
            place: None,
            ending: Ending::Succeeded,
        })))
    }

    fn change(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Records cluster and tools.
    pub fn surroundings(&self, surroundings: RunEnvironment) {
        self.place(surroundings.context.as_deref(), &surroundings.namespace);
        self.change(|facts| facts.surroundings = Some(surroundings));
    }

    /// Records the components of the stack.
    pub fn components(&self, components: Vec<Component>) {
        self.change(|facts| facts.components = components);
    }

    /// How the command ended.
    pub fn conclude(&self, ended: &Result<u8, CommandError>) {
        let ending = match ended {
            Ok(_) => Ending::Succeeded,
            Err(error) if matches!(*error.error, Error::Verification { .. } | Error::Preflight { .. }) => {
                Ending::ChecksFailed
            }
            Err(error) if error.exit_code() == INTERRUPTED => Ending::Interrupted(Failure::of(error)),
            Err(error) => Ending::Failed(Failure::of(error)),
        };
        self.change(|facts| (facts.ending, facts.ended) = (ending, Timestamp::now()));
    }

    /// Whether the run has sent its last event.
    pub fn is_finished(&self) -> bool {
        self.facts().finished
    }

    /// The ended steps, then the others as cancelled or, if not started, as skipped; `None` before the first event.
    pub fn step_results(&self) -> Option<(Vec<StepResult>, Vec<StepResult>)> {
        let facts = self.facts();
        let result = |facts: &StepFacts, outcome, seconds| StepResult {
            component: facts.planned.component.clone(),
            wave: facts.planned.wave,
            outcome,
            seconds,
        };
        let (ended, left): (Vec<&StepFacts>, Vec<&StepFacts>) =
            facts.steps.iter().partition(|step| step.ended.is_some());
        let ended = ended.into_iter().filter_map(|step| {
            let end = step.ended.as_ref()?;
            Some(result(step, end.outcome, end.seconds))
        });
        let left = left.into_iter().map(|step| {
            let outcome = if step.started.is_some() { StepOutcome::Cancelled } else { StepOutcome::Skipped };
            result(step, outcome, 0.0)
        });
        (!facts.steps.is_empty()).then(|| (ended.collect(), left.collect()))
    }

    /// Records the context, when known, and the namespace of the stack.
    pub fn place(&self, context: Option<&str>, namespace: &str) {
        self.change(|facts| facts.place = Some((context.map(str::to_owned), namespace.to_owned())));
    }

    /// The recorded context and namespace.
    pub fn recorded_place(&self) -> Option<(Option<String>, String)> {
        self.facts().place
    }

    /// Every result so far.
    pub fn checks_so_far(&self) -> Vec<CheckResult> {
        self.facts().ordered_checks()
    }

    pub(super) fn event(&self, timed: &TimedEvent) {
        self.change(|facts| facts.apply(timed));
    }

    pub(super) fn facts(&self) -> Facts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

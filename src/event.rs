//! Events of a run as plain serde values: the types that every reporter and every consumer of `--output json` reads.
//! Must not hold display settings, handles or secrets.
//!
//! Guarantees: [`Event::RunStarted`] lists every step; every started step finishes exactly once; exactly one
//! [`Event::RunFinished`] is sent, last, also on cancel. Lifecycle events are never dropped, progress may be.

mod diagnosis;
mod explanation;
mod hop;
mod planned;
mod result;
mod retained;
#[cfg(test)]
mod schema_tests;
mod sign_in;
mod summary;
mod upgrade;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub use diagnosis::{DiagnosedObject, Diagnosis, Severity};
pub use explanation::{Explanation, Topic};
pub use hop::Hop;
pub use planned::{ActionKind, Effects, PlannedStep, Rollback};
pub use result::{CheckResult, StepOutcome, StepResult, Verdict};
pub use retained::RetainedObject;
pub use sign_in::SignIn;
pub use summary::{RunError, RunOutcome, RunSummary};
pub use upgrade::{PathRow, UpgradeRow};

/// One line of `--output json`: an event and when it happened (RFC 3339, UTC).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TimedEvent {
    /// When the event was sent.
    pub time: jiff::Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl TimedEvent {
    /// An event of this moment.
    pub fn now(event: Event) -> TimedEvent {
        TimedEvent { time: jiff::Timestamp::now(), event }
    }
}

/// An event of a run. Tagged `event` in kebab-case, fields in camelCase.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Event {
    /// First event of a run; lists every step in the order of the waves.
    RunStarted {
        /// The subcommand, e.g. `install`.
        command: String,
        /// kubeconfig context, when known.
        context: Option<String>,
        /// Namespace of the stack; `None` if the run ended before it was known.
        namespace: Option<String>,
        /// Version of tailwatch.
        version: String,
        /// Every step of the plan; empty if the run ended before the first step.
        steps: Vec<PlannedStep>,
    },
    /// A wave begins; no step of a later wave has started.
    WaveStarted {
        /// Number of the wave, e.g. 30.
        wave: u8,
    },
    /// A step begins.
    StepStarted {
        /// Component name = release name.
        component: String,
        /// Its wave.
        wave: u8,
        /// The planned action.
        action: ActionKind,
    },
    /// Progress within a step; may be dropped under load.
    StepProgress {
        /// Component name.
        component: String,
        /// Its wave.
        wave: u8,
        /// Current phase of the step.
        phase: Phase,
        /// Workloads that are ready.
        ready: u32,
        /// Workloads that are desired.
        desired: u32,
        /// Why the step still waits, one sentence fragment.
        waiting: Option<String>,
        /// Expected remaining time of the rollout, in seconds, from the rate of its first pods.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        remaining_seconds: Option<u64>,
        /// The diagnosis of it, if a rule matched.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        diagnosis: Option<Box<Diagnosis>>,
    },
    /// A step waits longer than usual, or is blocked by a fatal cause; sent once for each cause.
    StepDelayed {
        /// Component name.
        component: String,
        /// Its wave.
        wave: u8,
        /// Seconds since the step started.
        seconds: f64,
        /// Usual duration of the step, in seconds.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        usual_seconds: Option<u64>,
        /// Why it waits, one sentence fragment.
        waiting: String,
        /// The diagnosis of it, if a rule matched.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        diagnosis: Option<Box<Diagnosis>>,
    },
    /// A step ended; sent exactly once for each started step.
    StepFinished {
        /// Component name.
        component: String,
        /// Its wave.
        wave: u8,
        /// How it ended.
        outcome: StepOutcome,
        /// Seconds since it started.
        seconds: f64,
        /// For a failure: one sentence; absent for a cancelled step.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        message: Option<String>,
        /// For a failure: the chain of causes, outermost first.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        causes: Vec<String>,
        /// For a failure: the next step for the user.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        hint: Option<String>,
        /// For a failure: the diagnosis.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        diagnosis: Option<Box<Diagnosis>>,
        /// For a failed upgrade or repair: the rollback to the last healthy revision.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        rollback: Option<Box<Rollback>>,
    },
    /// After a failed step: every diagnosis of the installed stack.
    Diagnosed {
        /// The most severe first.
        findings: Vec<Diagnosis>,
    },
    /// Every step of a wave has finished and is ready.
    WaveFinished {
        /// Number of the wave.
        wave: u8,
        /// Seconds since it started.
        seconds: f64,
    },
    /// Information for the user that does not change the outcome.
    Notice {
        /// One sentence.
        message: String,
        /// The next step, if there is one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        hint: Option<String>,
    },
    /// Verification starts; lists every check's id.
    ChecksStarted {
        /// Ids in the order of the report.
        checks: Vec<String>,
    },
    /// A check has its final verdict; sent exactly once for each check.
    CheckFinished(CheckResult),
    /// Before the end of an uninstall: the retained objects, with the reasons.
    Retained {
        /// By namespace and kind.
        objects: Vec<RetainedObject>,
    },
    /// Last event of a run.
    RunFinished(RunSummary),
}

/// Phase of a step.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The chart is fetched and rendered.
    Fetching,
    /// Own objects (namespace, Secrets, policies) and CRDs are applied.
    Applying,
    /// helm runs.
    Helm,
    /// The workloads become ready.
    Waiting,
    /// The release is rolled back to its last healthy revision.
    RollingBack,
    /// The release and its objects are deleted.
    Removing,
}

/// Sender half: cheap to clone; a closed receiver never stops the work.
#[derive(Clone, Debug)]
pub struct Events {
    sender: mpsc::UnboundedSender<TimedEvent>,
    queued: Arc<AtomicUsize>,
}

/// Receiver half, for one reporter.
#[derive(Debug)]
pub struct EventStream {
    receiver: mpsc::UnboundedReceiver<TimedEvent>,
    queued: Arc<AtomicUsize>,
}

/// Progress events beyond this backlog are dropped; lifecycle events never are.
const PROGRESS_BACKLOG: usize = 512;

/// A connected pair.
pub fn channel() -> (Events, EventStream) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let queued = Arc::new(AtomicUsize::new(0));
    (Events { sender, queued: queued.clone() }, EventStream { receiver, queued })
}

impl Events {
    /// Sends an event, stamped now. A closed receiver is not an error.
    pub fn send(&self, event: Event) {
        if matches!(event, Event::StepProgress { .. }) && self.queued.load(Ordering::Relaxed) > PROGRESS_BACKLOG {
            return;
        }
        self.queued.fetch_add(1, Ordering::Relaxed);
        let _ = self.sender.send(TimedEvent::now(event));
    }
}

impl EventStream {
    /// The next event, or `None` once every sender is dropped.
    pub async fn next(&mut self) -> Option<TimedEvent> {
        let stamped = self.receiver.recv().await;
        if stamped.is_some() {
            self.queued.fetch_sub(1, Ordering::Relaxed);
        }
        stamped
    }
}

/// A chart archive, as it was fetched.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ChartArchive {
    /// Address or folder of the repository, without credentials.
    pub repository: String,
    /// sha256, hex.
    pub sha256: String,
}

/// State of one component, as `status` shows it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StatusRow {
    /// Component name = release name.
    pub component: String,
    /// Wave number.
    pub wave: u8,
    /// Namespace of the release.
    pub namespace: String,
    /// helm's status, e.g. `deployed`; `None`: not installed.
    pub status: Option<String>,
    /// Installed chart version.
    pub chart_version: Option<String>,
    /// Version of the application that the chart names.
    pub app_version: Option<String>,
    /// Repository and sha256 of the chart archive that a run last applied in this version; `None`: not recorded.
    pub chart_archive: Option<ChartArchive>,
    /// Revision of the release.
    pub revision: Option<u32>,
    /// Workloads and conditions that are ready.
    pub ready: u32,
    /// Workloads and conditions that are desired.
    pub desired: u32,
    /// First reason that something is not ready.
    pub waiting: Option<String>,
}

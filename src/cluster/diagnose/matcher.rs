//! How a row matches.

use crate::cluster::diagnose::target::{Subject, Target};
use crate::cluster::views::{
    ContainerStatus, CustomResourceDefinition, DaemonSet, Deployment, Event, Ingress, Job, Object, OperatorResource,
    PersistentVolumeClaim, Pod, StorageClass, Terminated, WebhookConfiguration,
};
use crate::known_errors;

/// What made a row match.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// A message of the cluster.
    pub(super) text: String,
    /// Restarts, or repetitions of the event.
    pub(super) count: u32,
    /// Since when, as the object has it.
    pub(super) began: Option<jiff::Timestamp>,
    pub(super) log: Vec<String>,
}

impl Evidence {
    pub(super) fn of(text: &str) -> Evidence {
        Evidence { text: text.to_owned(), ..Evidence::default() }
    }
}

/// A rule's own function: reads one view, returns the text of the evidence.
type Read<V> = fn(&Subject<'_>, &V) -> Option<String>;

/// What a row matches, which is also the kind of target that it applies to. Phrases match in any case; no phrases: any
/// text.
pub(super) enum When {
    /// A container waits with one of these reasons, and its message (or the pod's pull events) has a phrase.
    Waiting(&'static [&'static str], &'static [&'static str]),
    /// A container that is not ready was ended for one of these reasons.
    Killed(&'static [&'static str]),
    /// A container that is not ready ended with an error.
    Crashed,
    /// The same, and its log has a phrase.
    Logged(&'static [&'static str]),
    /// The log of a container of this app has a phrase, whether or not the container is ready.
    LogContains { app: &'static str, phrases: &'static [&'static str] },
    /// A container, by a function.
    Container(fn(&Subject<'_>, &Pod, &ContainerStatus) -> Option<String>),
    /// No container of a pod has started, and a Warning event about the pod has this reason and phrase.
    Stuck(&'static str, &'static str),
    /// The scheduler's main reason has a phrase.
    Unscheduled(&'static [&'static str]),
    /// A pod, by a function.
    Pod(Read<Pod>),
    /// The API server rejects the pods or claims of a workload, and its message has a phrase.
    Rejected(&'static [&'static str]),
    /// A Deployment, by a function.
    Deployment(Read<Deployment>),
    /// A DaemonSet, by a function.
    DaemonSet(Read<DaemonSet>),
    /// A Job, by a function.
    Job(fn(&Subject<'_>, &Job) -> Option<Evidence>),
    /// A claim, by a function.
    Claim(Read<PersistentVolumeClaim>),
    /// A StorageClass, by a function.
    StorageClass(Read<StorageClass>),
    /// An Ingress, by a function.
    Ingress(Read<Ingress>),
    /// A resource that an operator reconciles, by a function.
    Resource(Read<OperatorResource>),
    /// A CRD, by a function.
    Crd(Read<CustomResourceDefinition>),
    /// The webhooks of admission, by a function.
    Webhooks(Read<WebhookConfiguration>),
}

impl When {
    /// The app with logs that are read while it runs.
    pub(super) fn app(&self) -> Option<&'static str> {
        match self {
            When::LogContains { app, .. } => Some(app),
            _ => None,
        }
    }

    /// The evidence in a subject; `None` if the row does not match or does not apply.
    pub(super) fn evidence(&self, subject: &Subject<'_>) -> Option<Evidence> {
        let text = match (self, subject.target) {
            (When::Waiting(reasons, phrases), Target::Container(pod, container)) => {
                return waiting(subject, pod, container, reasons, phrases);
            }
            (When::Killed(reasons), Target::Container(pod, container)) => {
                let end = container.end().filter(|end| reasons.contains(&end.reason.as_str()))?;
                return Some(of_end(subject, pod, container, end));
            }
            (When::Crashed, Target::Container(pod, container)) => {
                return Some(of_end(subject, pod, container, container.crash()?));
            }
            (When::Logged(phrases), Target::Container(pod, container)) => {
                let end = container.crash()?;
                let text = line_with(subject, pod, container, phrases)?;
                return Some(Evidence { text, ..of_end(subject, pod, container, end) });
            }
            (When::LogContains { app, phrases }, Target::Container(pod, container)) => {
                pod.metadata.labels.is_app(app).then(|| line_with(subject, pod, container, phrases)).flatten()
            }
            (When::Container(read), Target::Container(pod, container)) => read(subject, pod, container),
            (When::Stuck(reason, phrase), Target::Pod(pod)) if is_creating(pod) => {
                subject.warned(reason, phrase).map(str::to_owned)
            }
            (When::Unscheduled(phrases), Target::Pod(pod)) => {
                let condition = pod.status.conditions.when_false("PodScheduled")?;
                let matches = has_any(clause(&condition.message), phrases);
                return matches
                    .then(|| Evidence { began: condition.last_transition_time, ..Evidence::of(&condition.message) });
            }
            (When::Pod(read), Target::Pod(pod)) => read(subject, pod),
            (When::Rejected(phrases), Target::Object(workload)) => return rejected(subject, workload, phrases),
            (When::Deployment(read), Target::Object(Object::Deployment(deployment))) => read(subject, deployment),
            (When::DaemonSet(read), Target::Object(Object::DaemonSet(set))) => read(subject, set),
            (When::Job(read), Target::Object(Object::Job(job))) => return read(subject, job),
            (When::Claim(read), Target::Object(Object::PersistentVolumeClaim(claim))) => read(subject, claim),
            (When::StorageClass(read), Target::Object(Object::StorageClass(class))) => read(subject, class),
            (When::Ingress(read), Target::Object(Object::Ingress(ingress))) => read(subject, ingress),
            (When::Resource(read), Target::Object(Object::OperatorResource(resource))) => read(subject, resource),
            (When::Crd(read), Target::Object(Object::CustomResourceDefinition(crd))) => read(subject, crd),
            (When::Webhooks(read), Target::Object(Object::WebhookConfiguration(webhooks))) => read(subject, webhooks),
            _ => None,
        };
        text.map(|text| Evidence::of(&text))
    }
}

fn waiting(
    subject: &Subject<'_>,
    pod: &Pod,
    container: &ContainerStatus,
    reasons: &[&str],
    phrases: &[&str],
) -> Option<Evidence> {
    let waiting = &container.state.waiting;
    if !reasons.contains(&waiting.reason.as_str()) {
        return None;
    }
    // An older kubelet has only "Back-off pulling image" in the status, and the cause in the pod's events.
    let is_pull = |event: &&&Event| event.reason == "Failed" && event.message.contains(&container.image);
    let events = subject.events();
    let pulls = events.iter().filter(is_pull).map(|event| event.message.as_str());
    let text = std::iter::once(waiting.message.as_str()).chain(pulls).find(|text| has_any(text, phrases))?;
    let count = events.iter().map(|event| event.times()).max().unwrap_or(1);
    Some(Evidence { count, began: pod.metadata.creation_timestamp, ..Evidence::of(text) })
}

fn of_end(subject: &Subject<'_>, pod: &Pod, container: &ContainerStatus, end: &Terminated) -> Evidence {
    Evidence {
        text: end.message.clone(),
        count: u32::try_from(container.restart_count).unwrap_or_default(),
        began: end.finished_at,
        log: subject.cache.log(pod, &container.name).to_vec(),
    }
}

/// The last line of a container's log that has a phrase.
pub(super) fn line_with(
    subject: &Subject<'_>,
    pod: &Pod,
    container: &ContainerStatus,
    phrases: &[&str],
) -> Option<String> {
    let log = subject.cache.log(pod, &container.name);
    log.iter().rev().find(|line| has_any(line, phrases)).cloned()
}

/// A Deployment has it in a condition, since its ReplicaSets change; other workloads have events.
fn rejected(subject: &Subject<'_>, workload: &Object, phrases: &[&str]) -> Option<Evidence> {
    if let Object::Deployment(deployment) = workload {
        let failure = deployment.status.conditions.when_true("ReplicaFailure")?;
        return has_any(&failure.message, phrases)
            .then(|| Evidence { began: failure.last_transition_time, ..Evidence::of(&failure.message) });
    }
    if !lacks_pods(workload) {
        return None;
    }
    // An earlier rejection may not be true any more.
    let newest = subject.events().iter().find(|event| event.reason == "FailedCreate")?;
    has_any(&newest.message, phrases).then(|| Evidence {
        count: newest.times(),
        began: newest.first_timestamp.or(newest.last_seen()),
        ..Evidence::of(&newest.message)
    })
}

/// A pod that has a node, but no container that has started.
fn is_creating(pod: &Pod) -> bool {
    let has_started = |container: &ContainerStatus| container.is_running() || container.restart_count > 0;
    pod.status.phase == "Pending"
        && pod.status.conditions.when_false("PodScheduled").is_none()
        && !pod.status.container_statuses.iter().any(has_started)
}

/// Whether fewer pods exist than a workload must have.
fn lacks_pods(workload: &Object) -> bool {
    match workload {
        Object::StatefulSet(set) => set.status.replicas < set.spec.replicas.unwrap_or(1),
        Object::DaemonSet(set) => set.status.current_number_scheduled < set.status.desired_number_scheduled,
        Object::Job(job) => job.status.active == 0,
        _ => false,
    }
}

/// The reason that most nodes give: of `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated
/// taint(s). preemption: …` it is `2 node(s) had untolerated taint(s)`. Messages of scheduler 1.36.
pub(super) fn clause(message: &str) -> &str {
    let message = message.split(" preemption:").next().unwrap_or(message).trim_end_matches('.');
    let reasons = message.split_once("available: ").map_or(message, |(_, reasons)| reasons);
    let nodes = |reason: &&str| {
        let count = reason.split(' ').next().and_then(|count| count.parse::<u32>().ok());
        // A reason of the pod itself has no count; of equal counts the first reason.
        std::cmp::Reverse(count.unwrap_or(u32::MAX))
    };
    // A DaemonSet's pod is for one node: that the others do not match explains nothing.
    let relevant = reasons.split(", ").filter(|reason| !reason.contains("didn't satisfy plugin(s) [NodeAffinity]"));
    relevant.min_by_key(nodes).unwrap_or(reasons)
}

/// Whether a text has one of the phrases, in any case; no phrases: any text.
pub(super) fn has_any(text: &str, phrases: &[&str]) -> bool {
    phrases.is_empty() || known_errors::contains_any(text, phrases)
}

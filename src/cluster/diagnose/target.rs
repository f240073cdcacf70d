//! What rules read: the objects of a release and those that they depend on, each with its place.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use crate::cluster::readiness::pods::is_left_out;
use crate::cluster::readiness::workloads::judge_live;
use crate::cluster::views::{ContainerStatus, Event, Metadata, Object, Pod, Stored as _};
use crate::cluster::watch::cache::ObjectCache;
use crate::cluster::watch::release::TrackedRelease;
use crate::event::DiagnosedObject;

/// Which objects are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cluster) enum Depth {
    /// Those that keep the release from becoming ready.
    Waiting,
    /// Those that are ready, too.
    Everything,
}

/// What is read, and when.
#[derive(Clone, Copy, Debug)]
pub(in crate::cluster) struct Scope {
    pub(in crate::cluster) depth: Depth,
    pub(in crate::cluster) now: jiff::Timestamp,
}

/// What a row reads.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// A container of a pod.
    Container(&'a Pod, &'a ContainerStatus),
    /// A pod as a whole.
    Pod(&'a Pod),
    /// An object of any other kind.
    Object(&'a Object),
}

impl<'a> Target<'a> {
    fn kind(self) -> &'a str {
        match self {
            Target::Container(..) | Target::Pod(_) => Pod::KIND,
            Target::Object(object) => object.kind(),
        }
    }

    /// Of the object; of a container: of its pod.
    fn metadata(self) -> &'a Metadata {
        match self {
            Target::Container(pod, _) | Target::Pod(pod) => &pod.metadata,
            Target::Object(object) => object.metadata(),
        }
    }

    fn container(self) -> Option<&'a ContainerStatus> {
        match self {
            Target::Container(_, container) => Some(container),
            _ => None,
        }
    }
}

/// A target with what rules know about it.
pub(in crate::cluster) struct Subject<'a> {
    pub(super) cache: &'a ObjectCache,
    pub(super) release: &'a TrackedRelease,
    pub(super) now: jiff::Timestamp,
    /// The workload that waits for it.
    workload: Option<&'a Object>,
    pub(super) target: Target<'a>,
    /// Read when the first row needs them.
    events: OnceCell<Vec<&'a Event>>,
}

/// Everything of a release that rules read.
pub(in crate::cluster) fn subjects<'a>(
    cache: &'a ObjectCache,
    release: &'a TrackedRelease,
    scope: Scope,
) -> Vec<Subject<'a>> {
    let mut found = Collector { cache, release, scope, subjects: Vec::new() };
    for live in release.objects().filter_map(|reference| cache.find(reference)) {
        match live {
            Object::Ingress(_)
            | Object::CustomResourceDefinition(_)
            | Object::StorageClass(_)
            | Object::WebhookConfiguration(_) => found.add(None, Target::Object(live)),
            Object::PersistentVolumeClaim(_) => found.claim(None, live),
            Object::Pod(pod) => found.pod(None, pod),
            Object::Deployment(_) | Object::StatefulSet(_) | Object::DaemonSet(_) | Object::Job(_) => {
                found.workload(live, live);
            }
            Object::Event(_) | Object::Service(_) | Object::OperatorResource(_) => {}
        }
    }
    for wanted in &release.wait_for {
        let Some(live) = cache.object(&wanted.kind, &release.namespace, &wanted.name) else { continue };
        found.add(Some(live), Target::Object(live));
        if let Object::OperatorResource(resource) = live {
            for set in cache.stateful_sets_of(resource) {
                found.workload(live, set);
            }
        }
    }
    found.subjects
}

struct Collector<'a> {
    cache: &'a ObjectCache,
    release: &'a TrackedRelease,
    scope: Scope,
    subjects: Vec<Subject<'a>>,
}

impl<'a> Collector<'a> {
    fn add(&mut self, workload: Option<&'a Object>, target: Target<'a>) {
        let (cache, release, now) = (self.cache, self.release, self.scope.now);
        self.subjects.push(Subject { cache, release, now, workload, target, events: OnceCell::new() });
    }

    fn claim(&mut self, workload: Option<&'a Object>, claim: &'a Object) {
        if !self.subjects.iter().any(|known| std::ptr::eq(known.target.metadata(), claim.metadata())) {
            self.add(workload, Target::Object(claim));
        }
    }

    /// `top` is the object of the manifest, `live` the workload that creates the pods.
    fn workload(&mut self, top: &'a Object, live: &'a Object) {
        let waits = judge_live(self.cache, live).is_err();
        if waits {
            self.add(Some(top), Target::Object(live));
        }
        let is_everything = self.scope.depth == Depth::Everything;
        if waits || is_everything {
            let warned = self.cache.warned_pods(&live.metadata().namespace);
            let explains = |pod: &&Pod| {
                let only_starts = only_starts(pod, &warned) && self.cache.problem_of_node(pod).is_none();
                (!only_starts || self.waits_for_volume(pod)) && !is_left_out(self.cache, live, pod)
            };
            let pods: Vec<&Pod> =
                self.cache.pods(live).filter(|pod| is_everything || explains(pod)).take(PODS).collect();
            for pod in pods {
                self.pod(Some(top), pod);
            }
        }
    }

    /// The scheduler sets no condition while it waits for the provisioner of a class with WaitForFirstConsumer.
    fn waits_for_volume(&self, pod: &Pod) -> bool {
        let is_bound =
            |claim: &Object| matches!(claim, Object::PersistentVolumeClaim(claim) if claim.status.phase == "Bound");
        self.cache.claims_of(pod).any(|claim| !is_bound(claim))
    }

    fn pod(&mut self, workload: Option<&'a Object>, pod: &'a Pod) {
        let ready = pod.is_ready() && pod.is_expected();
        if (ready && self.scope.depth == Depth::Waiting) || pod.status.phase == "Succeeded" {
            return;
        }
        for claim in self.cache.claims_of(pod) {
            self.claim(workload, claim);
        }
        if pod.is_expected() {
            for container in pod.containers() {
                self.add(workload, Target::Container(pod, container));
            }
        }
        if !ready {
            self.add(workload, Target::Pod(pod));
        }
    }
}

/// Pods of one workload that are read: more of them show the same causes.
const PODS: usize = 200;

/// Whether a pod starts normally and has no Warning event: no rule matches it, and a large cluster has many of them.
fn only_starts(pod: &Pod, warned: &BTreeSet<&str>) -> bool {
    let starts = |container: &ContainerStatus| {
        let end = container.state.terminated.as_ref().map_or("", |end| &end.reason);
        container.restart_count == 0
            && matches!(end, "" | "Completed")
            && matches!(container.state.waiting.reason.as_str(), "" | "ContainerCreating" | "PodInitializing")
    };
    matches!(pod.status.phase.as_str(), "" | "Pending" | "Running")
        && pod.containers().all(starts)
        && pod.status.conditions.when_false("PodScheduled").is_none()
        && pod.metadata.deletion_timestamp.is_none()
        && !warned.contains(pod.metadata.name.as_str())
}

impl<'a> Subject<'a> {
    pub(super) fn name(&self) -> &'a str {
        &self.target.metadata().name
    }

    pub(super) fn namespace(&self) -> &'a str {
        &self.target.metadata().namespace
    }

    /// Warning events about the object, the newest first; of a container: those that name it or no container.
    pub(super) fn events(&self) -> &[&'a Event] {
        self.events.get_or_init(|| {
            let mut events = self.cache.events(self.target.kind(), self.target.metadata());
            if let Some(container) = self.target.container() {
                let own = format!("{{{}}}", container.name);
                events.retain(|event| {
                    let path = &event.involved_object.field_path;
                    path.is_empty() || path.ends_with(&own)
                });
            }
            events
        })
    }

    /// The newest message of a Warning event with this reason and phrase.
    pub(super) fn warned(&self, reason: &str, phrase: &str) -> Option<&'a str> {
        let found = self.events().iter().find(|event| event.reason == reason && event.message.contains(phrase));
        found.map(|event| event.message.as_str())
    }

    pub(super) fn place(&self) -> DiagnosedObject {
        let object = format!("{} {}", self.target.kind(), self.name());
        DiagnosedObject {
            component: Some(self.release.component.clone()).filter(|component| !component.is_empty()),
            namespace: Some(self.namespace().to_owned()).filter(|namespace| !namespace.is_empty()),
            workload: self.workload.map(named).filter(|workload| *workload != object),
            object,
            container: self.target.container().map(|container| container.name.clone()),
        }
    }

    /// Fills the placeholders of a row's sentence; `said` is the text of the evidence. A test compares them with the
    /// tables.
    pub(super) fn fill(&self, sentence: &str, said: &str) -> String {
        let own = || format!("{} {}", self.target.kind(), self.name());
        let container = self.target.container().cloned().unwrap_or_default();
        let end = container.last_state.terminated.as_ref().or(container.state.terminated.as_ref());
        let class = match self.target {
            Target::Object(Object::PersistentVolumeClaim(claim)) => claim.spec.storage_class_name.clone(),
            _ => String::new(),
        };
        let node = match self.target {
            Target::Container(pod, _) | Target::Pod(pod) => pod.spec.node_name.clone(),
            Target::Object(_) => String::new(),
        };
        let pairs = [
            ("{component}", self.release.component.clone()),
            ("{namespace}", self.namespace().to_owned()),
            ("{kind}", self.target.kind().to_owned()),
            ("{name}", self.name().to_owned()),
            ("{workload}", self.workload.map_or_else(own, named)),
            ("{container}", container.name.clone()),
            ("{image}", container.image.clone()),
            ("{restarts}", container.restart_count.to_string()),
            ("{code}", end.map_or(0, |end| end.exit_code).to_string()),
            ("{class}", class),
            ("{node}", node),
            ("{said}", said.to_owned()),
        ];
        pairs.iter().fold(sentence.to_owned(), |text, (key, value)| text.replace(key, value))
    }
}

/// `Deployment web`
fn named(object: &Object) -> String {
    format!("{} {}", object.kind(), object.metadata().name)
}

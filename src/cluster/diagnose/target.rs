//! What rules look at: the objects of a release and what hangs below them, each with its place.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::ObjectRef;
use crate::cluster::readiness::pods::is_expected;
use crate::cluster::readiness::workloads::judge;
use crate::cluster::watch::cache::{ObjectCache, TrackedRelease, containers, denied, has_condition, number, text};
use crate::event::DiagnosedObject;

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cluster) enum Depth {
    /// What hinders the release from becoming ready.
    Waiting,
    /// What is ready, too.
    Everything,
}

/// How to look.
#[derive(Clone, Copy, Debug)]
pub(in crate::cluster) struct Look {
    /// How much is looked at.
    pub(in crate::cluster) depth: Depth,
    /// When.
    pub(in crate::cluster) now: jiff::Timestamp,
}

/// Kind of subject that a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// A container's status within a pod.
    Container,
    /// A pod.
    Pod,
    /// A PersistentVolumeClaim.
    Claim,
    /// A Deployment, StatefulSet, DaemonSet or Job.
    Workload,
    /// A resource that an operator reconciles.
    Resource,
    /// An Ingress.
    Ingress,
    /// A cluster-scoped object.
    Cluster,
}

/// One thing that rules look at.
pub(in crate::cluster) struct Subject<'a> {
    pub(super) level: Level,
    pub(super) cache: &'a ObjectCache,
    pub(super) release: &'a TrackedRelease,
    pub(super) now: jiff::Timestamp,
    /// The workload that waits for it.
    pub(super) workload: Option<&'a Value>,
    /// The object itself; of a container: its pod.
    pub(super) object: &'a Value,
    /// Status of the container.
    pub(super) container: Option<&'a Value>,
    /// Read when the first row asks.
    events: OnceCell<Vec<&'a Value>>,
}

/// Everything of a release that rules look at.
pub(in crate::cluster) fn subjects<'a>(
    cache: &'a ObjectCache,
    release: &'a TrackedRelease,
    look: Look,
) -> Vec<Subject<'a>> {
    let mut found = Gathered { cache, release, look, subjects: Vec::new() };
    for reference in release.objects() {
        let Some(live) = cache.find(reference) else { continue };
        match reference.kind.as_str() {
            "Ingress" => found.add(Level::Ingress, None, live),
            "PersistentVolumeClaim" => found.claim(None, live),
            "CustomResourceDefinition"
            | "StorageClass"
            | "ValidatingWebhookConfiguration"
            | "MutatingWebhookConfiguration" => found.add(Level::Cluster, None, live),
            "Pod" => found.pod(None, live),
            _ => found.workload(live, live),
        }
    }
    for wanted in &release.wait_for {
        let Some(live) = cache.get(&wanted.kind, &release.namespace, &wanted.name) else { continue };
        found.add(Level::Resource, Some(live), live);
        for set in cache.made_for(live) {
            found.workload(live, set);
        }
    }
    found.subjects
}

struct Gathered<'a> {
    cache: &'a ObjectCache,
    release: &'a TrackedRelease,
    look: Look,
    subjects: Vec<Subject<'a>>,
}

impl<'a> Gathered<'a> {
    fn subject(&self, level: Level, workload: Option<&'a Value>, object: &'a Value) -> Subject<'a> {
        let (cache, release, now) = (self.cache, self.release, self.look.now);
        Subject { level, cache, release, now, workload, object, container: None, events: OnceCell::new() }
    }

    fn add(&mut self, level: Level, workload: Option<&'a Value>, object: &'a Value) {
        let subject = self.subject(level, workload, object);
        self.subjects.push(subject);
    }

    fn claim(&mut self, workload: Option<&'a Value>, claim: &'a Value) {
        if !self.subjects.iter().any(|known| std::ptr::eq(known.object, claim)) {
            self.add(Level::Claim, workload, claim);
        }
    }

    /// `top` is what stands in the manifest, `live` what makes the pods.
    fn workload(&mut self, top: &'a Value, live: &'a Value) {
        let waits = judge(self.cache, &ObjectRef::of(live)).is_err();
        if waits {
            self.add(Level::Workload, Some(top), live);
        }
        if waits || self.look.depth == Depth::Everything {
            let warned = self.cache.warned_pods(text(live, "/metadata/namespace"));
            let telling = |pod: &&Value| self.look.depth == Depth::Everything || is_telling(pod, &warned);
            let pods: Vec<&'a Value> = self.cache.pods(live).filter(telling).take(PODS).collect();
            for pod in pods {
                self.pod(Some(top), pod);
            }
        }
    }

    fn pod(&mut self, workload: Option<&'a Value>, pod: &'a Value) {
        let ready = has_condition(pod, "Ready") && is_expected(pod);
        if (ready && self.look.depth == Depth::Waiting) || text(pod, "/status/phase") == "Succeeded" {
            return;
        }
        for claim in self.cache.claims_of(pod) {
            self.claim(workload, claim);
        }
        if is_expected(pod) {
            for status in containers(pod) {
                let subject = self.subject(Level::Container, workload, pod);
                self.subjects.push(Subject { container: Some(status), ..subject });
            }
        }
        if !ready {
            self.add(Level::Pod, workload, pod);
        }
    }
}

/// Pods of one workload that are looked at: what a thousand suffer from, two hundred tell.
const PODS: usize = 200;

/// A pod that only starts tells nothing, and a large cluster has many of them.
fn is_telling(pod: &Value, warned: &BTreeSet<&str>) -> bool {
    let starts = |status: &Value| {
        let fresh = number(status, "/restartCount") == 0
            && status.pointer("/state/terminated/reason").is_none_or(|reason| reason == "Completed");
        let waits = text(status, "/state/waiting/reason");
        fresh && matches!(waits, "" | "ContainerCreating" | "PodInitializing")
    };
    let only_starts = matches!(text(pod, "/status/phase"), "" | "Pending" | "Running")
        && containers(pod).all(starts)
        && denied(pod, "PodScheduled").is_none()
        && pod.pointer("/metadata/deletionTimestamp").is_none();
    !only_starts || warned.contains(text(pod, "/metadata/name"))
}

impl Subject<'_> {
    pub(super) fn name(&self) -> &str {
        text(self.object, "/metadata/name")
    }

    pub(super) fn namespace(&self) -> &str {
        text(self.object, "/metadata/namespace")
    }

    pub(super) fn kind(&self) -> &str {
        text(self.object, "/kind")
    }

    /// The container's status; null for other subjects.
    pub(super) fn status(&self) -> &Value {
        self.container.unwrap_or(&Value::Null)
    }

    pub(super) fn container_name(&self) -> &str {
        text(self.status(), "/name")
    }

    /// Warning events about the object, the newest first; of a container: those that name it.
    pub(super) fn events(&self) -> &[&Value] {
        self.events.get_or_init(|| {
            let mut events = self.cache.events(self.object);
            if self.container.is_some() {
                let own = format!("{{{}}}", self.container_name());
                events.retain(|event| {
                    let path = text(event, "/involvedObject/fieldPath");
                    path.is_empty() || path.ends_with(&own)
                });
            }
            events
        })
    }

    /// The newest message of a Warning event with this reason and phrase.
    pub(super) fn warned(&self, reason: &str, phrase: &str) -> Option<&str> {
        let reported = |event: &&&Value| text(event, "/reason") == reason && text(event, "/message").contains(phrase);
        self.events().iter().find(reported).map(|event| text(event, "/message"))
    }

    /// Where it is.
    pub(super) fn place(&self) -> DiagnosedObject {
        let named = |object: &Value| format!("{} {}", text(object, "/kind"), text(object, "/metadata/name"));
        DiagnosedObject {
            component: Some(self.release.component.clone()).filter(|component| !component.is_empty()),
            namespace: Some(self.namespace().to_owned()).filter(|namespace| !namespace.is_empty()),
            workload: self.workload.map(named).filter(|workload| *workload != named(self.object)),
            object: named(self.object),
            container: self.container.map(|_| self.container_name().to_owned()),
        }
    }

    /// Fills a row's sentence; `said` are the cluster's own words. Every placeholder of the tables is known here; a test holds them against it.
    pub(super) fn fill(&self, sentence: &str, said: &str) -> String {
        let workload = self.workload.unwrap_or(self.object);
        let named = format!("{} {}", text(workload, "/kind"), text(workload, "/metadata/name"));
        let ended = ["/lastState/terminated/exitCode", "/state/terminated/exitCode"];
        let code = ended.iter().find_map(|path| self.status().pointer(path)?.as_i64()).unwrap_or_default();
        let pairs = [
            ("{component}", self.release.component.clone()),
            ("{namespace}", self.namespace().to_owned()),
            ("{kind}", self.kind().to_owned()),
            ("{name}", self.name().to_owned()),
            ("{workload}", named),
            ("{container}", self.container_name().to_owned()),
            ("{image}", text(self.status(), "/image").to_owned()),
            ("{restarts}", number(self.status(), "/restartCount").to_string()),
            ("{code}", code.to_string()),
            ("{class}", text(self.object, "/spec/storageClassName").to_owned()),
            ("{said}", said.to_owned()),
        ];
        pairs.iter().fold(sentence.to_owned(), |text, (key, value)| text.replace(key, value))
    }
}

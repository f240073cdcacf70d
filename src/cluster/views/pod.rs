//! Pods and the statuses of their containers.

use jiff::Timestamp;
use serde::de::IgnoredAny;

use crate::cluster::views::{Condition, Conditions, Event, Metadata};

/// Seconds of failed attempts after which a kubelet counts as one that creates no sandbox for the pod.
const FAILED_ATTEMPTS: i64 = 30;
/// Reason of that event (kubernetes, pkg/kubelet/events/event.go).
pub(in crate::cluster) const SANDBOX_FAILED: &str = "FailedCreatePodSandBox";

views! {
    Pod {
        metadata: Metadata,
        spec: PodSpec,
        status: PodStatus,
    }

    PodSpec {
        node_name: String,
        affinity: Affinity,
        volumes: Vec<Volume>,
    }

    Affinity {
        node_affinity: NodeAffinity,
    }

    NodeAffinity {
        #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
        required: NodeSelector,
    }

    NodeSelector {
        node_selector_terms: Vec<NodeSelectorTerm>,
    }

    NodeSelectorTerm {
        match_fields: Vec<FieldRequirement>,
    }

    FieldRequirement {
        key: String,
        operator: String,
        values: Vec<String>,
    }

    Volume {
        persistent_volume_claim: ClaimVolume,
    }

    ClaimVolume {
        claim_name: String,
    }

    PodStatus {
        phase: String,
        reason: String,
        message: String,
        conditions: Conditions,
        init_container_statuses: Vec<ContainerStatus>,
        container_statuses: Vec<ContainerStatus>,
    }

    ContainerStatus {
        name: String,
        image: String,
        ready: bool,
        restart_count: i64,
        state: ContainerState,
        last_state: ContainerState,
    }

    ContainerState {
        waiting: Waiting,
        running: Option<IgnoredAny>,
        terminated: Option<Terminated>,
    }

    Waiting {
        reason: String,
        message: String,
    }

    Terminated {
        reason: String,
        message: String,
        exit_code: i64,
        finished_at: Option<Timestamp>,
    }
}

impl Pod {
    pub(in crate::cluster) fn is_ready(&self) -> bool {
        self.status.conditions.is_true("Ready")
    }

    /// The only node that the pod of a DaemonSet may run on (kubernetes, pkg/controller/daemon/util,
    /// ReplaceDaemonSetPodNodeNameNodeAffinity).
    pub(in crate::cluster) fn intended_node(&self) -> Option<&str> {
        let terms = &self.spec.affinity.node_affinity.required.node_selector_terms;
        let mut fields = terms.iter().flat_map(|term| &term.match_fields);
        let field = fields.find(|field| field.key == "metadata.name" && field.operator == "In")?;
        field.values.first().map(String::as_str)
    }

    /// Why the scheduler finds no room for the pod on its intended node: `Too many pods`, `Insufficient cpu`.
    pub(in crate::cluster) fn lacks_room(&self) -> Option<&str> {
        self.intended_node()?;
        let message = &self.status.conditions.when_false("PodScheduled")?.message;
        let from = ["Too many pods", "Insufficient "].iter().filter_map(|phrase| message.find(phrase)).min()?;
        message[from..].split([',', '.']).next()
    }

    /// Whether the kubelet has failed for a while to create the pod's sandbox. It reports each attempt in an event.
    pub(in crate::cluster) fn lacks_sandbox<'e>(&self, events: impl IntoIterator<Item = &'e Event>) -> bool {
        let Some(created) = self.metadata.creation_timestamp else { return false };
        let is_late = |event: &&Event| {
            event.last_seen().is_some_and(|last| last.as_second() - created.as_second() >= FAILED_ATTEMPTS)
        };
        let is_about =
            |event: &&Event| event.reason == SANDBOX_FAILED && event.involved_object.uid == self.metadata.uid;
        self.status.phase == "Pending" && events.into_iter().filter(is_about).any(|event| is_late(&event))
    }

    /// Neither terminating nor completed.
    pub(in crate::cluster) fn is_expected(&self) -> bool {
        self.metadata.deletion_timestamp.is_none() && self.status.phase != "Succeeded"
    }

    /// Statuses of its containers, those of the init containers first.
    pub(in crate::cluster) fn containers(&self) -> impl Iterator<Item = &ContainerStatus> {
        self.status.init_container_statuses.iter().chain(&self.status.container_statuses)
    }

    /// Names of the claims that it mounts.
    pub(in crate::cluster) fn claims(&self) -> impl Iterator<Item = &str> {
        let names = self.spec.volumes.iter().map(|volume| volume.persistent_volume_claim.claim_name.as_str());
        names.filter(|name| !name.is_empty())
    }

    /// Kind and name of its workload. A Deployment owns its pods through a ReplicaSet with the name of the Deployment
    /// and the hash of the pods' template.
    pub(in crate::cluster) fn workload(&self) -> Option<(&str, &str)> {
        let owner = self.metadata.owner_references.iter().find(|owner| owner.controller != Some(false))?;
        if owner.kind != "ReplicaSet" {
            return Some((&owner.kind, &owner.name));
        }
        let name = owner.name.strip_suffix(self.metadata.labels.template_hash.as_str())?.strip_suffix('-')?;
        Some(("Deployment", name))
    }

    /// Drops all but the phase and the condition `Ready` of a pod that is ready: nearly all pods of a large cluster
    /// are, and the rules that run during a watch skip them.
    pub(in crate::cluster) fn prune(&mut self) {
        if !self.is_ready() || self.metadata.deletion_timestamp.is_some() {
            return;
        }
        let ready = Condition { kind: "Ready".into(), status: "True".into(), ..Condition::default() };
        let conditions = Conditions(vec![ready]);
        self.spec = PodSpec::default();
        self.status = PodStatus { phase: "Running".into(), conditions, ..PodStatus::default() };
    }
}

impl ContainerStatus {
    pub(in crate::cluster) fn is_running(&self) -> bool {
        self.state.running.is_some()
    }

    /// How it ended, now or the last time, if it is not ready.
    pub(in crate::cluster) fn end(&self) -> Option<&Terminated> {
        let end = self.state.terminated.as_ref().or(self.last_state.terminated.as_ref());
        end.filter(|_| !self.ready)
    }

    /// The same, if it ended with an error.
    pub(in crate::cluster) fn crash(&self) -> Option<&Terminated> {
        self.end().filter(|end| end.exit_code != 0)
    }
}

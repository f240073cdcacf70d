//! Metadata and conditions, which objects of every kind have.

use jiff::Timestamp;
use serde::Deserialize;

views! {
    Metadata {
        name: String,
        namespace: String,
        uid: String,
        resource_version: String,
        generation: i64,
        creation_timestamp: Option<Timestamp>,
        deletion_timestamp: Option<Timestamp>,
        finalizers: Vec<String>,
        owner_references: Vec<Owner>,
        labels: Labels,
        annotations: Annotations,
    }

    Owner {
        kind: String,
        name: String,
        uid: String,
        controller: Option<bool>,
    }

    Labels {
        #[serde(rename = "pod-template-hash")]
        template_hash: String,
        #[serde(rename = "controller-revision-hash")]
        revision_hash: String,
        #[serde(rename = "app.kubernetes.io/name")]
        app_name: String,
        app: String,
        #[serde(rename = "tailscale.com/parent-resource")]
        parent_resource: String,
        #[serde(rename = "kubernetes.io/os")]
        os: String,
        #[serde(rename = "kubernetes.io/arch")]
        architecture: String,
        #[serde(rename = "type")]
        node_type: String,
        #[serde(rename = "eks.amazonaws.com/compute-type")]
        compute_type: String,
        #[serde(rename = "liqo.io/type")]
        liqo_type: String,
    }

    Annotations {
        #[serde(rename = "helm.sh/hook")]
        hook: String,
        #[serde(rename = "operator.prometheus.io/version")]
        operator_version: String,
        #[serde(rename = "storageclass.kubernetes.io/is-default-class")]
        is_default_class: String,
        #[serde(rename = "volume.kubernetes.io/selected-node")]
        selected_node: String,
    }

    Condition {
        #[serde(rename = "type")]
        kind: String,
        status: String,
        reason: String,
        message: String,
        last_transition_time: Option<Timestamp>,
        observed_generation: i64,
    }
}

impl Metadata {
    /// The resource version as a number, by which two states of an object are ordered.
    pub(in crate::cluster) fn version(&self) -> Option<u64> {
        self.resource_version.parse().ok()
    }

    pub(in crate::cluster) fn is_owned_by(&self, uid: &str) -> bool {
        self.owner_references.iter().any(|owner| owner.uid == uid)
    }
}

impl Labels {
    pub(in crate::cluster) fn is_app(&self, app: &str) -> bool {
        self.app_name == app || self.app == app
    }

    /// Revision of a pod: its DaemonSet or StatefulSet labels it, or its ReplicaSet; "" for any other pod.
    pub(in crate::cluster) fn revision(&self) -> &str {
        if self.revision_hash.is_empty() { &self.template_hash } else { &self.revision_hash }
    }
}

impl Condition {
    /// The reason and the first line of the message.
    pub(in crate::cluster) fn summary(&self) -> String {
        let first = self.message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
        match (self.reason.as_str(), first) {
            ("", "") => "no reason given".into(),
            ("", message) => message.into(),
            (reason, "") => reason.into(),
            (reason, message) => format!("{reason}: {message}"),
        }
    }
}

/// `status.conditions`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::cluster) struct Conditions(pub(in crate::cluster) Vec<Condition>);

impl Conditions {
    pub(in crate::cluster) fn get(&self, kind: &str) -> Option<&Condition> {
        self.0.iter().find(|condition| condition.kind == kind)
    }

    /// The condition of this type, if its status is True.
    pub(in crate::cluster) fn when_true(&self, kind: &str) -> Option<&Condition> {
        self.get(kind).filter(|condition| condition.status == "True")
    }

    /// The condition of this type, if its status is False.
    pub(in crate::cluster) fn when_false(&self, kind: &str) -> Option<&Condition> {
        self.get(kind).filter(|condition| condition.status == "False")
    }

    pub(in crate::cluster) fn is_true(&self, kind: &str) -> bool {
        self.when_true(kind).is_some()
    }
}

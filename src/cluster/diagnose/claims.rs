//! Claims that get no volume.

use crate::cluster::diagnose::matcher::When;
use crate::cluster::diagnose::rule::Rule;
use crate::cluster::diagnose::target::Subject;
use crate::cluster::views::{PersistentVolumeClaim, StorageClass};
use crate::event::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "volume-claim-lost",
        severity: Severity::Fatal,
        lasts: 5,
        cause: "PersistentVolumeClaim {name} is in phase Lost: its PersistentVolume does not exist",
        hint: "restore the PersistentVolume, or delete the claim if you do not need its data: `kubectl -n {namespace} delete pvc {name}`",
        ..on_claim(When::Claim(lost))
    },
    Rule {
        id: "storage-class-missing",
        severity: Severity::Fatal,
        lasts: 45,
        cause: "PersistentVolumeClaim {name} requests StorageClass {class}, which does not exist",
        hint: "set storage.class in the answers to one of `kubectl get storageclass`, delete the claim, then run the same command again",
        ..on_claim(When::Claim(class_missing))
    },
    Rule {
        id: "storage-class-no-default",
        severity: Severity::Fatal,
        lasts: 45,
        cause: "PersistentVolumeClaim {name} sets no StorageClass, and the cluster has no default StorageClass",
        hint: "set storage.class in the answers, or mark a StorageClass as default: `kubectl annotate storageclass NAME storageclass.kubernetes.io/is-default-class=true`",
        ..on_claim(When::Claim(no_class))
    },
    Rule {
        id: "provisioning-failed",
        lasts: 20,
        cause: "the provisioner of StorageClass {class} cannot create the volume of PersistentVolumeClaim {name}",
        hint: "see its message above and the log of its pod",
        ..on_claim(When::Claim(provisioning_failed))
    },
    Rule {
        id: "provisioner-not-responding",
        named_after: 4,
        lasts: 20,
        cause: "PersistentVolumeClaim {name} has no volume: the provisioner of StorageClass {class} reports no event",
        hint: "check that the pods of the provisioner run: `kubectl get storageclass {class}` shows its name",
        ..on_claim(When::Claim(no_response))
    },
    Rule {
        id: "volume-resize-failed",
        cause: "the volume of PersistentVolumeClaim {name} cannot be expanded",
        hint: "check allowVolumeExpansion of StorageClass {class}, and the log of its provisioner",
        ..on_claim(When::Claim(resize_failed))
    },
    Rule {
        id: "storage-class-several-defaults",
        severity: Severity::Notice,
        cause: "several StorageClasses are marked as default ({said}); Kubernetes uses the newest one",
        hint: "keep the annotation on one of them, or set storage.class in the answers",
        when: When::StorageClass(several_defaults),
        ..Rule::BLANK
    },
];

const fn on_claim(when: When) -> Rule {
    Rule { when, ..Rule::BLANK }
}

fn is_pending(claim: &PersistentVolumeClaim) -> bool {
    claim.status.phase == "Pending"
}

fn lost(_: &Subject<'_>, claim: &PersistentVolumeClaim) -> Option<String> {
    (claim.status.phase == "Lost").then(String::new)
}

fn no_class(_: &Subject<'_>, claim: &PersistentVolumeClaim) -> Option<String> {
    let names_none = claim.spec.storage_class_name.is_empty() && claim.spec.volume_name.is_empty();
    (is_pending(claim) && names_none).then(String::new)
}

/// An event of a failure remains after the claim is bound.
fn provisioning_failed(subject: &Subject<'_>, claim: &PersistentVolumeClaim) -> Option<String> {
    let message = subject.warned("ProvisioningFailed", "").filter(|_| is_pending(claim))?;
    Some(message.to_owned())
}

fn class_missing(subject: &Subject<'_>, claim: &PersistentVolumeClaim) -> Option<String> {
    provisioning_failed(subject, claim).filter(|message| message.contains("storageclass.storage.k8s.io"))
}

/// A class with WaitForFirstConsumer gets a volume after the scheduler has chosen the node.
fn no_response(subject: &Subject<'_>, claim: &PersistentVolumeClaim) -> Option<String> {
    let class = subject.cache.get::<StorageClass>("", &claim.spec.storage_class_name).filter(|_| is_pending(claim))?;
    let has_node = !claim.metadata.annotations.selected_node.is_empty();
    let waits = class.volume_binding_mode == "WaitForFirstConsumer" && !has_node;
    let provisioner = &class.provisioner;
    (!waits && provisioner != "kubernetes.io/no-provisioner").then(|| format!("provisioner {provisioner}"))
}

/// Only the newest event counts: a later attempt may have succeeded.
fn resize_failed(subject: &Subject<'_>, _: &PersistentVolumeClaim) -> Option<String> {
    let newest = subject.events().first().filter(|event| event.reason.ends_with("ResizeFailed"))?;
    Some(newest.message.clone())
}

/// Reported once, for the first of them.
fn several_defaults(subject: &Subject<'_>, class: &StorageClass) -> Option<String> {
    let classes = subject.cache.all::<StorageClass>("");
    let defaults = classes.filter(|class| class.metadata.annotations.is_default_class == "true");
    let names: Vec<&str> = defaults.map(|class| class.metadata.name.as_str()).collect();
    (names.len() > 1 && names[0] == class.metadata.name).then(|| names.join(", "))
}

//! Claims that get no volume.

use serde_json::Value;

use crate::cluster::diagnose::target::Level;
use crate::cluster::diagnose::{Rule, Subject, When};
use crate::cluster::watch::cache::{mark, text};
use crate::event::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "volume-claim-lost",
        severity: Severity::Fatal,
        lasts: 5,
        cause: "claim {name} has lost its volume",
        hint: "restore the PersistentVolume, or delete the claim if its data may go: `kubectl -n {namespace} delete pvc {name}`",
        ..on_claim(When::Fact(lost))
    },
    Rule {
        id: "storage-class-missing",
        severity: Severity::Fatal,
        lasts: 45,
        cause: "claim {name} asks for StorageClass {class}, which does not exist",
        hint: "set storage.class in the answers to one of `kubectl get storageclass`, delete the claim, then run the same command again",
        ..on_claim(When::Fact(class_missing))
    },
    Rule {
        id: "storage-class-no-default",
        severity: Severity::Fatal,
        lasts: 45,
        cause: "claim {name} names no StorageClass, and the cluster has no default one",
        hint: "set storage.class in the answers, or mark a StorageClass as default: `kubectl annotate storageclass NAME storageclass.kubernetes.io/is-default-class=true`",
        ..on_claim(When::Fact(no_class))
    },
    Rule {
        id: "provisioning-failed",
        lasts: 20,
        cause: "the provisioner of StorageClass {class} cannot make the volume of claim {name}",
        hint: "read its reason above; its pod has the log",
        ..on_claim(When::Fact(provisioning_failed))
    },
    Rule {
        id: "provisioner-not-responding",
        named_after: 4,
        lasts: 20,
        cause: "nothing makes the volume of claim {name}: the provisioner of StorageClass {class} is silent",
        hint: "see whether the pods of that provisioner run: `kubectl get storageclass {class}` names it",
        ..on_claim(When::Fact(silent))
    },
    Rule {
        id: "volume-resize-failed",
        cause: "the volume of claim {name} cannot grow",
        hint: "see whether StorageClass {class} has allowVolumeExpansion, and its provisioner",
        ..on_claim(When::Fact(resize_failed))
    },
    Rule {
        id: "storage-class-several-defaults",
        severity: Severity::Notice,
        cause: "several StorageClasses are marked as default ({said}); the newest one wins",
        hint: "leave the mark on one of them, or name one with storage.class in the answers",
        level: Level::Cluster,
        when: When::Fact(several_defaults),
        ..Rule::BLANK
    },
];

const fn on_claim(when: When) -> Rule {
    Rule { level: Level::Claim, when, ..Rule::BLANK }
}

fn pending<'a>(subject: &'a Subject<'_>) -> Option<&'a Value> {
    (text(subject.object, "/status/phase") == "Pending").then_some(subject.object)
}

fn lost(subject: &Subject<'_>) -> Option<String> {
    (text(subject.object, "/status/phase") == "Lost").then(String::new)
}

fn no_class(subject: &Subject<'_>) -> Option<String> {
    let claim = pending(subject)?;
    (text(claim, "/spec/storageClassName").is_empty() && text(claim, "/spec/volumeName").is_empty()).then(String::new)
}

/// Events outlive what they tell of: only a claim that still waits suffers.
fn provisioning_failed(subject: &Subject<'_>) -> Option<String> {
    pending(subject)?;
    subject.warned("ProvisioningFailed", "").map(str::to_owned)
}

fn class_missing(subject: &Subject<'_>) -> Option<String> {
    provisioning_failed(subject).filter(|message| message.contains("storageclass.storage.k8s.io"))
}

/// The scheduler has chosen the node, or the class does not wait for that.
fn silent(subject: &Subject<'_>) -> Option<String> {
    let claim = pending(subject)?;
    let class = subject.cache.get("StorageClass", "", text(claim, "/spec/storageClassName"))?;
    let placed = !mark(claim, "volume.kubernetes.io/selected-node").is_empty();
    let provisioner = text(class, "/provisioner");
    let waits = text(class, "/volumeBindingMode") == "WaitForFirstConsumer" && !placed;
    (!waits && provisioner != "kubernetes.io/no-provisioner").then(|| format!("provisioner {provisioner}"))
}

/// Only the newest words count: a later try may have gone well.
fn resize_failed(subject: &Subject<'_>) -> Option<String> {
    let newest = subject.events().first().filter(|event| text(event, "/reason").ends_with("ResizeFailed"))?;
    Some(text(newest, "/message").to_owned())
}

/// Told once, on the first of them.
fn several_defaults(subject: &Subject<'_>) -> Option<String> {
    if subject.kind() != "StorageClass" {
        return None;
    }
    let is_default = |class: &&Value| mark(class, "storageclass.kubernetes.io/is-default-class") == "true";
    let defaults = subject.cache.all("StorageClass", "").filter(is_default);
    let names: Vec<&str> = defaults.map(|class| text(class, "/metadata/name")).collect();
    (names.len() > 1 && names.first() == Some(&subject.name())).then(|| names.join(", "))
}

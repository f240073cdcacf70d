//! StorageClasses that provide no volumes.

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, ListParams};
use serde_json::Value;

use crate::cluster::dynamic::{by_precedence, default_class};
use crate::cluster::{Cluster, ClusterError, ObjectRef, permitted};

/// Why a StorageClass provides no volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClassFault {
    /// It is being deleted; since when.
    Deleted(String),
    /// Its CSI driver is not registered.
    NoDriver(String),
    /// Its provisioner has stopped renewing its Lease.
    Stopped {
        /// e.g. `cluster.local/nfs-subdir-external-provisioner`
        provisioner: String,
        /// Namespace of the Lease and of the provisioner.
        namespace: String,
        /// The last renewal.
        since: jiff::Timestamp,
    },
    /// It provisions none, and no PersistentVolume is left.
    NoVolumes,
}

/// CSI drivers that serve the provisioners which were part of Kubernetes until 1.27 (kubernetes
/// staging/src/k8s.io/csi-translation-lib/plugins).
const MIGRATED: [(&str, &str); 6] = [
    ("kubernetes.io/aws-ebs", "ebs.csi.aws.com"),
    ("kubernetes.io/gce-pd", "pd.csi.storage.gke.io"),
    ("kubernetes.io/azure-disk", "disk.csi.azure.com"),
    ("kubernetes.io/azure-file", "file.csi.azure.com"),
    ("kubernetes.io/cinder", "cinder.csi.openstack.org"),
    ("kubernetes.io/vsphere-volume", "csi.vsphere.vmware.com"),
];

/// The CSI driver of a provisioner; `None` for others, which register no object.
fn driver(provisioner: &str) -> Option<&str> {
    let migrated = MIGRATED.iter().find(|(old, _)| *old == provisioner).map(|(_, driver)| *driver);
    migrated.or_else(|| provisioner.split('.').any(|label| label == "csi").then_some(provisioner))
}

/// Name of each class, and whether it is the default; the class of the volumes and its fault.
pub type Storage = (Vec<(String, bool)>, Option<(String, ClassFault)>);

impl Cluster {
    /// The StorageClasses, as [`Cluster::storage_classes`] has them; and the configured one, or the default, with the
    /// reason why it provides no volumes for claims in a namespace, as far as this context may read that.
    pub async fn storage(&self, configured: Option<&str>, namespace: &str) -> Result<Storage, ClusterError> {
        let listed = self.list("storage.k8s.io/v1", "StorageClass", None, None).await?;
        let classes = by_precedence(&listed);
        let chosen = configured.or(default_class(&classes));
        let class = listed.iter().find(|class| chosen.is_some_and(|name| ObjectRef::of(class).name == name));
        let fault = match class {
            Some(class) => self.fault(class, namespace).await?.map(|fault| (ObjectRef::of(class).name, fault)),
            None => None,
        };
        Ok((classes, fault))
    }

    async fn fault(&self, class: &Value, namespace: &str) -> Result<Option<ClassFault>, ClusterError> {
        let text = |path: &str| class.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let since = text("/metadata/deletionTimestamp");
        Ok(match text("/provisioner") {
            _ if !since.is_empty() => Some(ClassFault::Deleted(since.to_owned())),
            "kubernetes.io/no-provisioner" => {
                let volumes = permitted(self.list("v1", "PersistentVolume", None, None).await)?;
                let is_left = |volumes: &Vec<Value>| {
                    volumes.iter().any(|volume| is_usable(volume, text("/metadata/name"), namespace))
                };
                volumes.filter(|volumes| !is_left(volumes)).map(|_| ClassFault::NoVolumes)
            }
            provisioner => match driver(provisioner) {
                None => self.stopped(provisioner).await?,
                Some(driver) => {
                    let drivers = permitted(self.names("storage.k8s.io/v1", "CSIDriver", None).await)?;
                    drivers.filter(|all| !all.contains(driver)).map(|_| ClassFault::NoDriver(driver.to_owned()))
                }
            },
        })
    }

    /// A provisioner that registers no object has a Lease with its name, if it elects a leader
    /// (kubernetes-sigs/sig-storage-lib-external-provisioner controller/controller.go, Run).
    async fn stopped(&self, provisioner: &str) -> Result<Option<ClassFault>, ClusterError> {
        let named = ListParams::default().fields(&format!("metadata.name={}", provisioner.replace('/', "-")));
        let leases = Api::<Lease>::all(self.client.clone()).list(&named).await;
        let leases = leases.map_err(|error| ClusterError::from_kube("cannot list Lease objects", error));
        let leases = permitted(leases)?.map(|leases| leases.items).unwrap_or_default();
        Ok(stopped(provisioner, &leases, jiff::Timestamp::now()))
    }
}

/// How long ago the last renewal must be: longer than the duration of a Lease and a difference of clocks.
const STOPPED_AFTER: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// Without a Lease, and while one is renewed, nothing is known of a provisioner that has stopped.
fn stopped(provisioner: &str, leases: &[Lease], now: jiff::Timestamp) -> Option<ClassFault> {
    let renewed = leases.iter().filter_map(|lease| Some((lease, lease.spec.as_ref()?.renew_time.as_ref()?.0)));
    let (lease, since) = renewed.max_by_key(|(_, since)| *since)?;
    let namespace = lease.metadata.namespace.clone().unwrap_or_default();
    (since.duration_until(now) > STOPPED_AFTER).then(|| ClassFault::Stopped {
        provisioner: provisioner.to_owned(),
        namespace,
        since,
    })
}

/// Whether a PersistentVolume of the class is available, or bound to a claim of the namespace.
fn is_usable(volume: &Value, class: &str, namespace: &str) -> bool {
    let text = |path: &str| volume.pointer(path).and_then(Value::as_str);
    let is_ours = text("/spec/claimRef/namespace") == Some(namespace);
    text("/spec/storageClassName") == Some(class) && (text("/status/phase") == Some("Available") || is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn drivers_are_known_by_their_names() {
        assert_eq!(driver("kubernetes.io/aws-ebs"), Some("ebs.csi.aws.com"));
        assert_eq!(driver("ebs.csi.aws.com"), Some("ebs.csi.aws.com"));
        assert_eq!(driver("rancher.io/local-path"), None);
        assert_eq!(driver("k8s.io/minikube-hostpath"), None);
    }

    #[test]
    fn a_provisioner_has_stopped_if_no_lease_is_renewed() {
        let lease = |time: Value| -> Lease {
            let spec = json!({"renewTime": time});
            serde_json::from_value(json!({"metadata": {"name": "a-b", "namespace": "nfs"}, "spec": spec})).unwrap()
        };
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        let (old, fresh) = (lease(json!("2026-01-01T00:00:00.000000Z")), lease(json!("2026-01-01T00:59:30.000000Z")));
        let since = "2026-01-01T00:00:00Z".parse().unwrap();
        let expected = ClassFault::Stopped { provisioner: "a/b".into(), namespace: "nfs".into(), since };
        assert_eq!(stopped("a/b", std::slice::from_ref(&old), now), Some(expected));
        assert_eq!(stopped("a/b", &[old, fresh], now), None);
        assert_eq!(stopped("a/b", &[], now), None, "it may run without a leader election");
        assert_eq!(stopped("a/b", &[lease(Value::Null)], now), None);
    }

    #[test]
    fn a_volume_is_usable_if_it_is_free_or_ours() {
        let volume = |phase: &str, claim: Option<&str>| json!({"spec": {"storageClassName": "local", "claimRef": {"namespace": claim}}, "status": {"phase": phase}});
        assert!(is_usable(&volume("Available", None), "local", "m"));
        assert!(is_usable(&volume("Bound", Some("m")), "local", "m"));
        assert!(!is_usable(&volume("Bound", Some("x")), "local", "m"));
        assert!(!is_usable(&volume("Available", None), "other", "m"));
    }
}

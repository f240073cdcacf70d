//! The own Secrets of a release without their data, for an export, and its values where the cluster lacks one. Pure.

use serde::Serialize;
use serde_json::Value;

use crate::stack::{ClusterFacts, OwnObject, Release};

/// An own Secret, without its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnSecret {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Keys of its data.
    pub keys: Vec<String>,
    /// Whether the cluster has it with the data that an install would use.
    pub exists: bool,
}

impl Release {
    /// Its own Secrets, without a certificate that the cluster lacks: the chart creates it, see
    /// [`Release::exported_values`].
    pub fn own_secrets(&self, facts: &ClusterFacts) -> Vec<OwnSecret> {
        let secrets = self.objects.iter().filter(|object| is_secret(object));
        let described = secrets.map(|object| {
            let text = |key: &str| object.manifest["metadata"][key].as_str().unwrap_or_default().to_owned();
            let keys = object.secret_data.keys().cloned().collect();
            OwnSecret { namespace: text("namespace"), name: text("name"), keys, exists: exists(object, facts) }
        });
        let is_certificate = |secret: &OwnSecret| secret.keys.iter().any(|key| key == "ca");
        described.filter(|secret| secret.exists || !is_certificate(secret)).collect()
    }

    /// Its values. If the cluster lacks an own Secret, without what is derived from it, the checksum of credentials and the
    /// authority of the admission webhook; the chart then creates the webhook's certificate.
    pub fn exported_values(&self, facts: &ClusterFacts) -> Value {
        let mut values = self.values.clone();
        if self.objects.iter().any(|object| is_secret(object) && !exists(object, facts)) {
            (self.rules().without_own_secrets)(&mut values);
        }
        values
    }
}

fn is_secret(object: &OwnObject) -> bool {
    object.manifest["kind"] == "Secret"
}

fn exists(object: &OwnObject, facts: &ClusterFacts) -> bool {
    let live = [&facts.oauth2_proxy, &facts.grafana, &facts.alerts, &facts.webhook, &facts.tailscale];
    live.into_iter().flatten().any(|data| {
        let same = |(key, value): (&String, _)| data.get(key).is_some_and(|found| found == value);
        object.secret_data.iter().all(same)
    })
}

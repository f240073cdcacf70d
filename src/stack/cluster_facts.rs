//! Facts of the cluster that the desired state depends on.

use crate::config::OperatorPlan;
use crate::stack::SecretData;

/// Facts from the cluster that the desired state depends on.
#[derive(Clone, Debug)]
pub struct ClusterFacts {
    /// What is done about the Tailscale operator.
    pub tailscale_operator: OperatorPlan,
    /// Data of [`OAUTH2_PROXY_SECRET`].
    pub oauth2_proxy: Option<SecretData>,
    /// Data of [`GRAFANA_SECRET`].
    pub grafana: Option<SecretData>,
    /// Data of [`WEBHOOK_SECRET`].
    pub webhook: Option<SecretData>,
    /// Data of [`TAILSCALE_SECRET`].
    pub tailscale: Option<SecretData>,
    /// Now, for the certificate's age.
    pub now: jiff::Timestamp,
}

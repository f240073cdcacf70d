//! Facts of the cluster that the desired state depends on.

use crate::stack::SecretData;

/// What only the cluster knows and the wanted state depends on.
#[derive(Clone, Debug)]
pub struct ClusterFacts {
    /// The Tailscale operator must be installed: no other owner has an IngressClass `tailscale`.
    pub install_tailscale_operator: bool,
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

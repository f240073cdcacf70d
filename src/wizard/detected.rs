//! Defaults that are detected on this machine and in the cluster.

use crate::config::{Draft, OperatorMode, OperatorPlan, TailscaleOperator};

/// What was detected before the first prompt.
#[derive(Clone, Debug, Default)]
pub struct Detected {
    /// MagicDNS suffix of this machine's tailnet.
    pub tailnet: Option<String>,
    /// StorageClasses, and whether each is the default.
    pub storage_classes: Vec<(String, bool)>,
    /// The Tailscale operator in the cluster.
    pub tailscale_operator: TailscaleOperator,
    /// Issuer and client id of the client secret stored in the cluster.
    pub kept_oidc_client: Option<(String, String)>,
    /// Client id of the Tailscale operator's OAuth secret stored in the cluster.
    pub kept_operator_client: Option<String>,
}

impl Detected {
    /// Whether the draft installs the Tailscale operator.
    pub(super) fn installs_operator(&self, draft: &Draft) -> bool {
        let mode = draft.text("tailscale.operator").and_then(|(mode, _)| mode.parse::<OperatorMode>().ok());
        mode.is_some_and(|mode| mode.plan(self.tailscale_operator) == OperatorPlan::Install)
    }

    /// Whether the stored client secret belongs to the draft's issuer and client id.
    pub(super) fn keeps_client_secret(&self, draft: &Draft) -> bool {
        let answered = |key: &str| draft.text(key).map(|(text, _)| text);
        let client = answered("auth0.issuer").zip(answered("auth0.clientId"));
        client.is_some() && client == self.kept_oidc_client
    }

    /// Whether the stored secret of the Tailscale operator belongs to the draft's client id, if it has one.
    pub(super) fn keeps_operator_secret(&self, draft: &Draft) -> bool {
        let client = draft.text("tailscale.oauth.clientId").map(|(text, _)| text);
        self.kept_operator_client.is_some() && client.is_none_or(|client| Some(client) == self.kept_operator_client)
    }
}

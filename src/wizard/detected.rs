//! What this machine and the cluster can tell, so that a person need not.

use crate::config::{Draft, OperatorMode, OperatorPlan, TailscaleOperator};

/// What was found before the first question.
#[derive(Clone, Debug, Default)]
pub struct Detected {
    /// MagicDNS suffix of this machine's tailnet.
    pub tailnet: Option<String>,
    /// StorageClasses, and whether each is the default.
    pub storage_classes: Vec<(String, bool)>,
    /// What the cluster has of the Tailscale operator.
    pub tailscale_operator: TailscaleOperator,
    /// Issuer and client id of the client secret that the cluster keeps.
    pub kept_oidc_client: Option<(String, String)>,
    /// Client id of the Tailscale operator's OAuth secret that the cluster keeps.
    pub kept_operator_client: Option<String>,
}

impl Detected {
    /// Whether the Tailscale operator is installed with what the draft has.
    pub(super) fn installs_operator(&self, draft: &Draft) -> bool {
        let mode = draft.text("tailscale.operator").and_then(|(mode, _)| mode.parse::<OperatorMode>().ok());
        mode.is_some_and(|mode| mode.plan(self.tailscale_operator) == OperatorPlan::Install)
    }

    /// Whether the kept client secret is the one of the issuer and client id that the draft has.
    pub(super) fn keeps_client_secret(&self, draft: &Draft) -> bool {
        let answered = |key: &str| draft.text(key).map(|(text, _)| text);
        let asked = answered("auth0.issuer").zip(answered("auth0.clientId"));
        asked.is_some() && asked == self.kept_oidc_client
    }

    /// Whether the kept secret of the Tailscale operator is the one of the client id that the draft has, if it has one.
    pub(super) fn keeps_operator_secret(&self, draft: &Draft) -> bool {
        let asked = draft.text("tailscale.oauth.clientId").map(|(text, _)| text);
        self.kept_operator_client.is_some() && asked.is_none_or(|asked| Some(asked) == self.kept_operator_client)
    }
}

//! Answers that are valid by themselves, but not with the others.

use crate::config::error::quoted;
use crate::config::value_path::at_path;
use crate::config::{AlertReceiver, Draft, GroupsClaim, IssuerUrl, KUBE_PROMETHEUS_STACK, Problem};

/// Values of kube-prometheus-stack that configure receivers, too; they would replace the lists of the answer's.
const OWN_RECEIVERS: [&str; 4] = [
    "alertmanager.config",
    "alertmanager.stringConfig",
    "alertmanager.alertmanagerSpec.secrets",
    "alertmanager.alertmanagerSpec.useExistingSecret",
];

impl Draft {
    /// All of them.
    pub fn contradictions(&self) -> Vec<Problem> {
        self.dropped_claim().into_iter().chain(self.two_receivers()).collect()
    }

    /// A claim that the issuer, one of Auth0's hosts, puts into no token.
    fn dropped_claim(&self) -> Option<Problem> {
        const KEY: &str = "auth0.groupsClaim";
        let ((issuer, _), (claim, from)) = (self.text("auth0.issuer")?, self.text(KEY)?);
        let is_auth0 = issuer.parse().is_ok_and(|issuer: IssuerUrl| issuer.is_auth0_host());
        let dropped = claim.parse::<GroupsClaim>().ok().and_then(|claim| claim.reason_dropped_by_auth0());
        let expected = dropped.filter(|_| is_auth0)?.to_owned();
        Some(Problem { place: from.to_string(), key: KEY.into(), found: quoted(&claim), expected })
    }

    fn two_receivers(&self) -> Option<Problem> {
        const KEY: &str = "alerts.receiver";
        let (receiver, from) = self.text(KEY)?;
        if receiver == AlertReceiver::None.as_str() {
            return None;
        }
        let (values, _) = self.values.get(&KUBE_PROMETHEUS_STACK.parse().ok()?)?;
        let is_set = |key: &&&str| {
            let path: Vec<String> = key.split('.').map(str::to_owned).collect();
            at_path(values.written(), &path).is_some()
        };
        let own = OWN_RECEIVERS.iter().find(is_set)?;
        let expected = format!(
            "expected none, since values.{KUBE_PROMETHEUS_STACK}.{own} configures receivers; or leave that out"
        );
        Some(Problem { place: from.to_string(), key: KEY.into(), found: quoted(&receiver), expected })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{ChartValues, Provenance};

    #[test]
    fn receivers_of_the_values_and_of_the_answer_exclude_each_other() {
        let mut draft = Draft::default();
        let name = KUBE_PROMETHEUS_STACK.parse().unwrap();
        let values = json!({"alertmanager": {"alertmanagerSpec": {"secrets": ["mine"]}}});
        draft.values.insert(name, (ChartValues::literal(values), Provenance::Set));
        assert!(draft.contradictions().is_empty());
        draft.set("alerts.receiver", "slack", Provenance::Set).unwrap();
        let found = draft.contradictions();
        assert_eq!(found.len(), 1);
        assert!(found[0].expected.contains("values.kube-prometheus-stack.alertmanager.alertmanagerSpec.secrets"));
    }
}

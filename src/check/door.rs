//! Grafana, and oauth2-proxy before it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::check::{CheckContext, Finding, answered, not_yet};
use crate::cluster::{ForwardTarget, ObjectRef};

const GRAFANA: &str = "kube-prometheus-stack-grafana";
const DOOR: &str = "oauth2-proxy";

pub(super) async fn grafana_healthy(context: &CheckContext) -> Finding {
    not_yet(context.json(GRAFANA, 80, "/api/health").await.map(|health: Value| match health["database"].as_str() {
        Some("ok") => Finding::Pass("its database is well".into()),
        other => Finding::NotYet(format!("its database is {}", other.unwrap_or("not reported"))),
    }))
}

/// 200 without credentials is the anonymous mode; 401 is a Grafana that wants a login nobody has.
pub(super) async fn grafana_anonymous(context: &CheckContext) -> Finding {
    match context.get(GRAFANA, 80, "/api/org").await {
        Ok(response) if response.status == 200 => Finding::Pass("anonymous access to Main Org.".into()),
        Ok(response) if response.status == 401 => Finding::Fail("Grafana asks for a login of its own".into()),
        Ok(response) => Finding::NotYet(answered("Grafana", &response)),
        Err(error) => Finding::NotYet(error.to_string()),
    }
}

pub(super) async fn reads_prometheus(context: &CheckContext) -> Finding {
    data_source(context, "prometheus").await
}

pub(super) async fn reads_loki(context: &CheckContext) -> Finding {
    data_source(context, "loki").await
}

/// Grafana's own health call of a data source goes the whole way to the backend.
async fn data_source(context: &CheckContext, uid: &str) -> Finding {
    let response = match context.get(GRAFANA, 80, &format!("/api/datasources/uid/{uid}/health")).await {
        Ok(response) => response,
        Err(error) => return Finding::NotYet(error.to_string()),
    };
    let answer: Value = serde_json::from_str(&response.body).unwrap_or_default();
    match (response.status, answer["status"].as_str()) {
        (200, Some("OK")) => Finding::Pass(answer["message"].as_str().unwrap_or_default().to_owned()),
        (404, _) => Finding::Fail(format!("Grafana has no data source with the uid {uid}")),
        _ => Finding::NotYet(answered("Grafana", &response)),
    }
}

/// As the tailnet's proxy would ask: with its headers, so that nothing but the sign-in is tested.
async fn knock(context: &CheckContext, path: &str) -> Result<crate::cluster::ForwardResponse, String> {
    let host = context.settings.grafana_fqdn();
    let headers = vec![
        ("Host".to_owned(), host.clone()),
        ("X-Forwarded-Host".to_owned(), host),
        ("X-Forwarded-Proto".to_owned(), "https".to_owned()),
    ];
    let target = ForwardTarget::Service { name: DOOR.into(), port: 80 };
    context.exchange(target, path, headers).await.map_err(|error| error.to_string())
}

pub(super) async fn redirects(context: &CheckContext) -> Finding {
    not_yet(judge_redirect(context).await)
}

async fn judge_redirect(context: &CheckContext) -> Result<Finding, String> {
    let response = knock(context, "/oauth2/start?rd=/").await?;
    let Some(location) = response.header("location").filter(|_| response.status == 302) else {
        return Err(answered(DOOR, &response));
    };
    let settings = &context.settings;
    let expected = Expected {
        host: settings.auth0.issuer.host(),
        client_id: settings.auth0.client_id.as_str(),
        redirect_uri: settings.callback_url(),
    };
    Ok(expected.judge(location))
}

struct Expected<'a> {
    host: String,
    client_id: &'a str,
    redirect_uri: String,
}

impl Expected<'_> {
    fn judge(&self, location: &str) -> Finding {
        let Ok(url) = url::Url::parse(location) else {
            return Finding::Fail("it redirects to something that is no URL".into());
        };
        let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        let parameter = |name: &str| query.get(name).map_or("nothing", String::as_str);
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = format!("{}{port}", url.host_str().unwrap_or_default());
        let rows = [
            ("host", host.as_str(), self.host.as_str()),
            ("client_id", parameter("client_id"), self.client_id),
            ("redirect_uri", parameter("redirect_uri"), self.redirect_uri.as_str()),
            ("response_type", parameter("response_type"), "code"),
            ("code_challenge_method", parameter("code_challenge_method"), "S256"),
        ];
        match rows.iter().find(|(_, found, wanted)| found != wanted) {
            Some((what, found, wanted)) => Finding::Fail(format!("its {what} is {found}, asked was {wanted}")),
            None => Finding::Pass(format!("to {}, back to {}", self.host, self.redirect_uri)),
        }
    }
}

/// A 200 anywhere would be Grafana in the open.
pub(super) async fn closed(context: &CheckContext) -> Finding {
    not_yet(judge_closed(context).await)
}

async fn judge_closed(context: &CheckContext) -> Result<Finding, String> {
    for (path, expected) in [("/", 302), ("/api/org", 401), ("/oauth2/auth", 401)] {
        let response = knock(context, path).await?;
        if response.status == 200 {
            return Ok(Finding::Fail(format!("{path} is answered without a session: Grafana is open")));
        }
        if response.status != expected {
            return Err(format!("{path}: {}, expected {expected}", answered(DOOR, &response)));
        }
    }
    Ok(Finding::Pass("/, /api/org and /oauth2/auth ask for a session".into()))
}

/// A stale device of the same name makes it `grafana-1`, and then the issuer refuses the callback.
pub(super) async fn address(context: &CheckContext) -> Finding {
    let reference = ObjectRef {
        api_version: "networking.k8s.io/v1".into(),
        kind: "Ingress".into(),
        namespace: Some(context.namespace().to_owned()),
        name: "grafana".into(),
    };
    let expected = context.settings.grafana_fqdn();
    match context.cluster.get(&reference).await {
        Err(error) => Finding::NotYet(error.to_string()),
        Ok(None) => Finding::Fail("there is no Ingress grafana".into()),
        Ok(Some(ingress)) => match ingress.pointer("/status/loadBalancer/ingress/0/hostname").and_then(Value::as_str) {
            Some(found) if found == expected => Finding::Pass(format!("https://{expected}/")),
            Some(found) => Finding::Fail(format!("the tailnet calls it {found}, expected {expected}")),
            None => Finding::NotYet("the Tailscale operator has not assigned it".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_redirect_is_compared() {
        let expected = Expected {
            host: "acme.eu.auth0.com".into(),
            client_id: "c",
            redirect_uri: "https://grafana.t.ts.net/oauth2/callback".into(),
        };
        let location = |host: &str, client: &str, uri: &str| {
            format!(
                "https://{host}/authorize?client_id={client}&redirect_uri={uri}&response_type=code&code_challenge_method=S256&state=s"
            )
        };
        let uri = "https%3A%2F%2Fgrafana.t.ts.net%2Foauth2%2Fcallback";
        assert!(matches!(expected.judge(&location("acme.eu.auth0.com", "c", uri)), Finding::Pass(_)));
        for wrong in [
            location("evil.example", "c", uri),
            location("acme.eu.auth0.com", "d", uri),
            location("acme.eu.auth0.com", "c", "https%3A%2F%2Fevil.example%2F"),
            "/relative".to_owned(),
        ] {
            assert!(matches!(expected.judge(&wrong), Finding::Fail(_)), "{wrong}");
        }
    }
}

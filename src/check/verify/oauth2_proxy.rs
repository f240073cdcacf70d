//! oauth2-proxy, with the requests of the tailnet's proxy through a port-forward: its redirect to the issuer, and that
//! it forwards nothing without a session. `network` checks the path before and behind it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::check::api::port_forward::answered;
use crate::check::row::{Finding, Row};
use crate::check::verify::context::StackContext;
use crate::check::{name_of, some_of};
use crate::cluster::ForwardResponse;
use crate::config::OAUTH2_PROXY;
use crate::event::Hop;

pub(super) const GROUP: &str = "oauth2-proxy";

pub(super) const ROWS: &[Row<StackContext>] = &[
    Row::new("oauth2-proxy-healthy", GROUP, "oauth2-proxy is healthy", |context| Box::pin(healthy(context)))
        .within(60)
        .at(Hop::TailnetOauth2Proxy)
        .hint("see `kubectl -n NAMESPACE logs deploy/oauth2-proxy`"),
    Row::new(
        "oauth2-proxy-redirect",
        GROUP,
        "oauth2-proxy redirects to the configured issuer, with the configured client, and back to Grafana",
        |context| Box::pin(redirects(context)),
    )
    .needs(&["oauth2-proxy-healthy"])
    .at(Hop::Oauth2ProxyIssuer)
    .hint("compare the auth0 answers (`tailwatch answers show`) with the application in Auth0, and check oauth2-proxy under `values:`"),
    Row::new("oauth2-proxy-config", GROUP, "oauth2-proxy has the configured settings, groups included", |context| {
        Box::pin(configured(context))
    })
    .within(1)
    .at(Hop::Oauth2ProxyIssuer)
    .hint("the object was edited: `tailwatch plan --diff` shows the change, `tailwatch install` restores it"),
    Row::new("oauth2-proxy-login-required", GROUP, "oauth2-proxy forwards no request to Grafana without a session", |context| {
        Box::pin(login_required(context))
    })
    .needs(&["oauth2-proxy-healthy"])
    .within(15)
    .at(Hop::Oauth2ProxyGrafana)
    .hint("check skip_auth_routes and other exemptions of oauth2-proxy under `values:`"),
    Row::new("oauth2-proxy-spoofed-headers", GROUP, "oauth2-proxy rejects forged headers and cookies", |context| {
        Box::pin(spoofed_headers(context))
    })
    .needs(&["oauth2-proxy-login-required"])
    .within(15)
    .at(Hop::Oauth2ProxyGrafana)
    .hint("check skip_jwt_bearer_tokens, htpasswd_file, trusted_ips and alpha configuration of oauth2-proxy under `values:`"),
];

/// A request with the headers of the tailnet's proxy.
async fn request_as_proxy(
    context: &StackContext,
    path: &str,
    more: &[(&str, &str)],
) -> Result<ForwardResponse, String> {
    let host = context.settings.grafana_fqdn();
    let own = [("Host", host.as_str()), ("X-Forwarded-Host", host.as_str()), ("X-Forwarded-Proto", "https")];
    let headers = own.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let port_forward = context.port_forward();
    port_forward.get_with(port_forward.target((OAUTH2_PROXY, 80)), path, headers).await
}

/// `/ping` is 200 as soon as it has read the issuer's discovery document and listens (oauth2-proxy, pkg/middleware).
async fn healthy(context: &StackContext) -> Result<Finding, String> {
    let response = request_as_proxy(context, "/ping", &[]).await?;
    if response.status == 200 { Ok(Finding::pass("")) } else { Err(answered(OAUTH2_PROXY, &response)) }
}

async fn redirects(context: &StackContext) -> Result<Finding, String> {
    let response = request_as_proxy(context, "/oauth2/start?rd=/", &[]).await?;
    let Some(location) = response.header("location").filter(|_| response.status == 302) else {
        return Err(answered(OAUTH2_PROXY, &response));
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

/// Parameters that must be present with any value (RFC 6749, RFC 7636, OpenID Connect Core).
const PRESENT: [&str; 3] = ["state", "nonce", "code_challenge"];
/// Scopes of the claims that oauth2-proxy reads.
const SCOPES: [&str; 2] = ["openid", "email"];

impl Expected<'_> {
    fn judge(&self, location: &str) -> Finding {
        let Ok(url) = url::Url::parse(location) else {
            return Finding::fail("the target of its redirect is no URL");
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
        if let Some((what, found, expected)) = rows.iter().find(|(_, found, expected)| found != expected) {
            return Finding::fail(format!("its {what} is {found}, expected {expected}"));
        }
        if let Some(absent) = PRESENT.iter().find(|name| query.get(**name).is_none_or(String::is_empty)) {
            return Finding::fail(format!("its request has no {absent}"));
        }
        let scopes: Vec<&str> = parameter("scope").split(' ').collect();
        match SCOPES.iter().find(|scope| !scopes.contains(scope)) {
            Some(scope) => Finding::fail(format!("its request lacks the scope {scope}")),
            None => Finding::pass(format!("to {}, back to {}", self.host, self.redirect_uri)),
        }
    }
}

/// The file of the chart's ConfigMap (oauth2-proxy's chart, templates/configmap.yaml).
const CONFIG_FILE: &str = "oauth2_proxy.cfg";
const CONTAINER: &str = "/spec/template/spec/containers/0";

/// Reads the live configuration: testing the admitted groups would need a user who signs in.
async fn configured(context: &StackContext) -> Result<Finding, String> {
    let name = context.names.object(OAUTH2_PROXY);
    let (config, deployment) =
        futures::try_join!(context.live("v1", "ConfigMap", name), context.live("apps/v1", "Deployment", name))
            .map_err(|error| error.to_string())?;
    let found = config.as_ref().and_then(|config| config["data"][CONFIG_FILE].as_str()).unwrap_or_default();
    let expected = context.value(OAUTH2_PROXY, "/config/configFile").and_then(Value::as_str).unwrap_or_default();
    if let Some(difference) = first_difference(found, expected) {
        return Ok(Finding::fail(difference));
    }
    let installed = context.objects("Deployment");
    let installed = installed.iter().find(|(_, object)| name_of(object) == name).map(|(_, object)| *object);
    let container = |object: Option<&Value>| object.and_then(|object| object.pointer(CONTAINER)).cloned();
    let more =
        additions(&container(deployment.as_ref()).unwrap_or_default(), &container(installed).unwrap_or_default());
    Ok(if more.is_empty() {
        Finding::pass("")
    } else {
        Finding::fail(format!(
            "its Deployment has arguments or variables that tailwatch does not set: {}",
            some_of(&more)
        ))
    })
}

/// The arguments and variable names that override the configuration file and that only the found container has. Values
/// may be secret and are left out; so are the API server's defaults.
fn additions(found: &Value, expected: &Value) -> Vec<String> {
    let entries = |container: &Value, list: &str| container[list].as_array().cloned().unwrap_or_default();
    let more = |list: &str, key: fn(&Value) -> String| -> Vec<Value> {
        let known: Vec<String> = entries(expected, list).iter().map(key).collect();
        entries(found, list).into_iter().filter(|entry| !known.contains(&key(entry))).collect()
    };
    let source = |entry: &Value| {
        let name = ["secretRef", "configMapRef"].iter().find_map(|kind| entry[*kind]["name"].as_str());
        format!("variables of {}", name.unwrap_or_default())
    };
    let arguments = more("args", Value::to_string).into_iter().filter_map(|entry| entry.as_str().map(str::to_owned));
    let variables = more("env", variable).into_iter().map(|entry| format!("variable {}", name_in(&entry)));
    let sources = more("envFrom", Value::to_string).into_iter().map(|entry| source(&entry));
    arguments.chain(variables).chain(sources).collect()
}

fn name_in(entry: &Value) -> &str {
    entry["name"].as_str().unwrap_or_default()
}

/// A variable as it is compared: the API server omits an empty value and adds a version to a reference to a field.
fn variable(entry: &Value) -> String {
    let from = &entry["valueFrom"];
    let value = entry["value"].as_str().unwrap_or_default();
    let reference = |kind: &str| [&from[kind]["name"], &from[kind]["key"]].map(ToString::to_string).concat();
    [name_in(entry), value, &reference("secretKeyRef"), &reference("configMapKeyRef")].join("\n")
}

/// The first line that is in only one of two configurations, ignoring blank lines.
fn first_difference(found: &str, expected: &str) -> Option<String> {
    let lines = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    };
    let (found, expected) = (lines(found), lines(expected));
    let more = found.iter().find(|line| !expected.contains(line));
    let less = expected.iter().find(|line| !found.contains(line));
    match (more, less) {
        (Some(more), Some(less)) => Some(format!("it has `{more}`, expected `{less}`")),
        (Some(more), None) => Some(format!("it has `{more}`, which tailwatch does not set")),
        (None, Some(less)) => Some(format!("it lacks `{less}`")),
        (None, None) => None,
    }
}

/// A 200 on any path means that Grafana is reachable without a session.
async fn login_required(context: &StackContext) -> Result<Finding, String> {
    for (path, expected) in [("/", 302), ("/api/org", 401), ("/oauth2/auth", 401)] {
        let response = request_as_proxy(context, path, &[]).await?;
        if response.status == 200 {
            return Ok(Finding::fail(format!("it answers {path} without a session: Grafana is unprotected")));
        }
        if response.status != expected {
            return Err(format!("{path}: {}, expected {expected}", answered(OAUTH2_PROXY, &response)));
        }
    }
    Ok(Finding::pass("/, /api/org and /oauth2/auth require a session"))
}

/// Forged requests: the headers that oauth2-proxy itself forwards, credentials of its other authentication methods, an
/// unsigned session cookie, and an address that it might trust.
const SPOOFED_REQUESTS: [(&str, &[(&str, &str)]); 5] = [
    (
        "X-Forwarded-User, -Email and -Groups",
        &[
            ("X-Forwarded-User", "admin"),
            ("X-Forwarded-Email", "admin@example.com"),
            ("X-Forwarded-Groups", "infra-admins"),
            ("X-Auth-Request-User", "admin"),
            ("X-Webauth-User", "admin"),
        ],
    ),
    ("Authorization: Basic", &[("Authorization", "Basic YWRtaW46YWRtaW4=")]),
    (
        "Authorization: Bearer",
        // {"alg":"none"} . {"sub":"admin","groups":["infra-admins"]} .
        &[("Authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsImdyb3VwcyI6WyJpbmZyYS1hZG1pbnMiXX0.")],
    ),
    ("a cookie", &[("Cookie", "__Host-tailwatch=YWRtaW4=|1700000000|AAAAAAAAAAAAAAAAAAAAAAAAAAA=")]),
    ("X-Real-Ip and X-Forwarded-For", &[("X-Real-Ip", "127.0.0.1"), ("X-Forwarded-For", "127.0.0.1")]),
];

async fn spoofed_headers(context: &StackContext) -> Result<Finding, String> {
    for (what, headers) in SPOOFED_REQUESTS {
        let response = request_as_proxy(context, "/api/org", headers).await?;
        if response.status == 200 {
            return Ok(Finding::fail(format!("it accepts {what}")));
        }
    }
    Ok(Finding::pass(format!("it rejects {} kinds of forged requests", SPOOFED_REQUESTS.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;
    use serde_json::json;

    #[test]
    fn a_configuration_that_differs_is_reported_by_its_line() {
        let expected = "allowed_groups = [ \"a\" ]\ncookie_secure = true\n";
        assert_eq!(first_difference("cookie_secure = true\n\nallowed_groups = [ \"a\" ]", expected), None);
        let open = first_difference("allowed_groups = []\ncookie_secure = true", expected).unwrap();
        assert_eq!(open, "it has `allowed_groups = []`, expected `allowed_groups = [ \"a\" ]`");
        assert_eq!(
            first_difference("cookie_secure = true", expected).unwrap(),
            "it lacks `allowed_groups = [ \"a\" ]`"
        );
        let more = first_difference(&format!("{expected}skip_auth_routes = [ \"/\" ]"), expected).unwrap();
        assert_eq!(more, "it has `skip_auth_routes = [ \"/\" ]`, which tailwatch does not set");
    }

    #[test]
    fn overrides_of_the_configuration_file_are_reported_without_values() {
        let id = json!({"name": "ID", "valueFrom": {"secretKeyRef": {"name": "auth0", "key": "client-id"}}});
        let pod = |version: Option<&str>| json!({"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name", "apiVersion": version}}});
        let expected = json!({"args": ["--a"], "env": [id, pod(None), {"name": "EMPTY", "value": ""}]});
        let same = json!({"args": ["--a"], "env": [id, pod(Some("v1")), {"name": "EMPTY"}]});
        assert_eq!(additions(&same, &expected), Vec::<String>::new());
        let more = json!({"args": ["--a", "--skip-auth-route=/"],
            "env": [{"name": "ID", "value": "other"}, pod(Some("v1")), {"name": "GROUPS", "value": "x"}],
            "envFrom": [{"secretRef": {"name": "more"}}]});
        assert_eq!(
            additions(&more, &expected),
            ["--skip-auth-route=/", "variable ID", "variable GROUPS", "variables of more"]
        );
    }

    #[test]
    fn every_part_of_the_redirect_is_compared() {
        let expected = Expected {
            host: "acme.eu.auth0.com".into(),
            client_id: "c",
            redirect_uri: "https://grafana.t.ts.net/oauth2/callback".into(),
        };
        let location = |host: &str, client: &str, uri: &str, rest: &str| {
            format!("https://{host}/authorize?client_id={client}&redirect_uri={uri}&response_type=code&{rest}")
        };
        let uri = "https%3A%2F%2Fgrafana.t.ts.net%2Foauth2%2Fcallback";
        let (host, good) =
            ("acme.eu.auth0.com", "code_challenge_method=S256&code_challenge=x&state=s&nonce=n&scope=openid+email");
        assert_eq!(expected.judge(&location(host, "c", uri, good)).state, State::Pass);
        for (wrong, text) in [
            (location("evil.example", "c", uri, good), "host"),
            (location(host, "d", uri, good), "client_id"),
            (location(host, "c", "https%3A%2F%2Fevil.example%2F", good), "redirect_uri"),
            (location(host, "c", uri, &good.replace("S256", "plain")), "code_challenge_method"),
            (location(host, "c", uri, &good.replace("&state=s", "&state=")), "no state"),
            (location(host, "c", uri, &good.replace("+email", "")), "scope email"),
            ("/relative".to_owned(), "no URL"),
        ] {
            let found = expected.judge(&wrong);
            assert!(found.state == State::Fail && found.detail.contains(text), "{wrong}: {found:?}");
        }
    }
}

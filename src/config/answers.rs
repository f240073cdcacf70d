//! Every answer as a row: key, variable, help, default, parser. Template, schema, `--set`, environment, prompts and
//! `answers show` use this table.

use crate::config::{
    AlertReceiver, AnonymousRole, ChartRepository, ClientId, GroupName, GroupsClaim, Hostname, ImageRegistry, Invalid,
    IssuerUrl, LogsMode, Namespace, OperatorMode, Organization, Quantity, RetentionPeriod, SessionLifetime,
    StorageClassName, TailnetDomain, TailscaleResource, TailscaleTag, UserName,
};

/// The shape of an answer's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One text.
    Text,
    /// `true` or `false`.
    Flag,
    /// A list of at least one text.
    List,
    /// `{ env: NAME }` or `{ file: PATH }`; a literal is an error.
    Secret,
}

/// One answer.
#[derive(Debug)]
pub struct Row {
    /// Key path in the answers file.
    pub key: &'static str,
    /// Shape of its value.
    pub shape: Shape,
    /// One line of help.
    pub help: &'static str,
    /// A valid value.
    pub example: &'static str,
    /// Default; lists are comma-separated; `None`: no default.
    pub default: Option<&'static str>,
    /// Whether the stack needs it.
    pub required: bool,
    /// Whether it decides who may sign in, what is installed, or its source: saved answers alone cannot change it.
    pub security: bool,
    validate: fn(&str) -> Result<String, Invalid>,
}

impl Row {
    /// Parses one text (of a list: one entry) and returns its normal form.
    pub fn validate(&self, text: &str) -> Result<String, Invalid> {
        (self.validate)(text)
    }
}

fn normal<T>(text: &str) -> Result<String, Invalid>
where
    T: std::str::FromStr<Err = Invalid> + ToString,
{
    text.parse::<T>().map(|value| value.to_string())
}

/// The text as written, after validation.
fn as_written<T>(text: &str) -> Result<String, Invalid>
where
    T: std::str::FromStr<Err = Invalid>,
{
    text.parse::<T>().map(|_| text.to_owned())
}

fn logs_period(text: &str) -> Result<String, Invalid> {
    let period: RetentionPeriod = text.parse()?;
    if period.seconds() < 24 * 3600 || !period.seconds().is_multiple_of(3600) {
        return Err(Invalid("expected whole hours, at least 24h (Loki's index has a day's period)".into()));
    }
    Ok(text.to_owned())
}

fn flag(text: &str) -> Result<String, Invalid> {
    text.parse::<bool>().map(|flag| flag.to_string()).map_err(|_| Invalid("expected true or false".into()))
}

/// Absolute, since a later run can start in another folder.
fn path(text: &str) -> Result<String, Invalid> {
    let expected = |_| Invalid("expected the path of a file".into());
    std::path::absolute(text).map(|path| path.display().to_string()).map_err(expected)
}

fn version(text: &str) -> Result<String, Invalid> {
    if text == "1" { Ok(text.into()) } else { Err(Invalid("expected 1, the version of the file format".into())) }
}

const fn row(
    key: &'static str,
    help: &'static str,
    example: &'static str,
    validate: fn(&str) -> Result<String, Invalid>,
) -> Row {
    Row { key, shape: Shape::Text, help, example, default: None, required: false, security: false, validate }
}

impl Row {
    const fn required(mut self) -> Row {
        self.required = true;
        self
    }

    const fn security(mut self) -> Row {
        self.security = true;
        self
    }

    const fn or(mut self, default: &'static str) -> Row {
        self.default = Some(default);
        self
    }

    const fn shaped(mut self, shape: Shape) -> Row {
        self.shape = shape;
        self
    }
}

/// Every answer but the free-form ones, in the order of the template.
pub static ROWS: &[Row] = &[
    row("version", "format of this file", "1", version).or("1"),
    row(
        "tailnet",
        "the tailnet's MagicDNS suffix (admin console, DNS page)",
        "tail1a2b.ts.net",
        normal::<TailnetDomain>,
    )
    .required()
    .security(),
    row("namespace", "namespace of the stack", "monitoring", normal::<Namespace>).or("monitoring"),
    row("grafana.hostname", "Grafana's address is this name on the tailnet", "grafana", normal::<Hostname>)
        .or("grafana")
        .security(),
    row(
        "grafana.anonymousRole",
        "role of every signed-in user: Viewer or Editor",
        "Editor",
        as_written::<AnonymousRole>,
    )
    .or("Editor")
    .security(),
    row(
        "auth0.issuer",
        "issuer of the OIDC provider (Auth0: https://TENANT.REGION.auth0.com/)",
        "https://acme.eu.auth0.com/",
        normal::<IssuerUrl>,
    )
    .required()
    .security(),
    row(
        "auth0.clientId",
        "client id of the application (Auth0: Applications, Settings)",
        "8fJxW2kQ",
        normal::<ClientId>,
    )
    .required()
    .security(),
    row("auth0.clientSecret", "source of the client secret", "{ env: AUTH0_CLIENT_SECRET }", secret)
        .shaped(Shape::Secret),
    row(
        "auth0.groupsClaim",
        "claim of the id token with the user's groups (Auth0: a namespaced one)",
        "https://acme.example/groups",
        normal::<GroupsClaim>,
    )
    .required()
    .security(),
    row(
        "auth0.allowedGroups",
        "groups that may sign in, exact and case-sensitive",
        "[infra-admins, monitoring-admins]",
        normal::<GroupName>,
    )
    .or("infra-admins,monitoring-admins")
    .shaped(Shape::List)
    .security(),
    row(
        "auth0.organization",
        "Auth0 organization that users sign in with, if the application requires one",
        "org_AbC123",
        normal::<Organization>,
    )
    .security(),
    row(
        "auth0.sessionLifetime",
        "how long a user stays signed in; groups are not read again meanwhile",
        "8h",
        normal::<SessionLifetime>,
    )
    .or("8h")
    .security(),
    row("logs", "install, or none for a stack without Loki and Alloy", "install", as_written::<LogsMode>)
        .or("install")
        .security(),
    row("selfMonitoring", "add alert rules and dashboards for the stack itself", "true", flag)
        .or("true")
        .shaped(Shape::Flag),
    row(
        "alerts.receiver",
        "where Alertmanager sends alerts: none, slack, pagerduty, opsgenie, msteams or webhook",
        "slack",
        as_written::<AlertReceiver>,
    )
    .or("none"),
    row("alerts.secret", "source of the receiver's URL or key", "{ env: ALERTS_SECRET }", secret).shaped(Shape::Secret),
    row("retention.metrics", "how long Prometheus keeps samples", "15d", as_written::<RetentionPeriod>).or("15d"),
    row("retention.logs", "how long Loki keeps logs", "7d", logs_period).or("7d"),
    row(
        "storage.class",
        "StorageClass of the volumes; unset: the cluster's default",
        "standard",
        normal::<StorageClassName>,
    ),
    row("storage.prometheus", "size of Prometheus' volume", "50Gi", as_written::<Quantity>).or("50Gi"),
    row("storage.alertmanager", "size of Alertmanager's volume", "2Gi", as_written::<Quantity>).or("2Gi"),
    row("storage.loki", "size of Loki's volume", "50Gi", as_written::<Quantity>).or("50Gi"),
    row("storage.grafana", "size of Grafana's volume", "10Gi", as_written::<Quantity>).or("10Gi"),
    row("tailscale.operator", "auto, install or present", "auto", as_written::<OperatorMode>).or("auto").security(),
    row("tailscale.tags", "tags of Grafana's device on the tailnet", "[tag:k8s]", normal::<TailscaleTag>)
        .or("tag:k8s")
        .shaped(Shape::List)
        .security(),
    row(
        "tailscale.proxyGroup",
        "ProxyGroup that serves Grafana's Ingress; unset: a proxy of its own",
        "ingress-proxies",
        normal::<TailscaleResource>,
    )
    .security(),
    row(
        "tailscale.ingressClass",
        "IngressClass of the Tailscale operator; unset: the one with its controller",
        "tailscale-prod",
        normal::<TailscaleResource>,
    )
    .security(),
    row("tailscale.proxyClass", "ProxyClass of the proxy of Grafana's Ingress", "small", normal::<TailscaleResource>)
        .security(),
    row(
        "tailscale.oauth.clientId",
        "OAuth client id of the operator, if it will be installed",
        "kAbc1",
        normal::<ClientId>,
    )
    .security(),
    row("tailscale.oauth.clientSecret", "source of its secret", "{ env: TAILSCALE_OAUTH_SECRET }", secret)
        .shaped(Shape::Secret),
    row(
        "charts.repository",
        "replaces every chart repository: https, http, oci, or a folder of .tgz files",
        "oci://registry.acme.example/charts",
        normal::<ChartRepository>,
    )
    .security(),
    row("charts.username", "user of that repository", "ci", normal::<UserName>).security(),
    row("charts.password", "source of that user's password", "{ env: CHARTS_PASSWORD }", secret).shaped(Shape::Secret),
    row("charts.caFile", "PEM file of the CA of the chart repository's certificate", "/etc/ssl/acme-ca.pem", path)
        .security(),
    row("charts.plainHttp", "read an oci:// repository by HTTP without TLS", "true", flag)
        .or("false")
        .shaped(Shape::Flag)
        .security(),
    row("charts.repacked", "the charts in charts.repository are not the publishers' archives", "true", flag)
        .or("false")
        .shaped(Shape::Flag)
        .security(),
    row(
        "images.registry",
        "replaces the registry of every image, e.g. quay.io; the rest of its name stays",
        "registry.acme.example/mirror",
        normal::<ImageRegistry>,
    )
    .security(),
];

/// Free-form keys, by component.
pub(super) const FREE: [&str; 3] = ["versions", "valuesFiles", "values"];

fn secret(_: &str) -> Result<String, Invalid> {
    Err(Invalid("expected { env: NAME } or { file: PATH }, never the secret itself".into()))
}

/// The row of a key.
pub fn find_row(key: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.key == key)
}

/// The environment variable of a key: `retention.logs` -> `TAILWATCH_RETENTION_LOGS`.
pub fn environment_name(key: &str) -> String {
    if key == "charts.repository" {
        return "TAILWATCH_CHART_REPOSITORY".into();
    }
    let mut name = String::from("TAILWATCH_");
    for character in key.chars() {
        match character {
            '.' => name.push('_'),
            upper if upper.is_ascii_uppercase() => {
                name.push('_');
                name.push(upper);
            }
            other => name.push(other.to_ascii_uppercase()),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_and_example_is_valid() {
        for row in ROWS {
            let entries =
                |text: &str| text.trim_matches(['[', ']']).split(',').map(|e| e.trim().to_owned()).collect::<Vec<_>>();
            let is_valid = |text: &str| match row.shape {
                Shape::Text | Shape::Flag => row.validate(text).is_ok(),
                Shape::List => entries(text).iter().all(|entry| row.validate(entry).is_ok()),
                Shape::Secret => true,
            };
            assert!(is_valid(row.example), "{}", row.key);
            assert!(row.default.is_none_or(is_valid), "{}", row.key);
        }
    }

    #[test]
    fn variables_are_named_after_their_keys() {
        assert_eq!(environment_name("auth0.clientId"), "TAILWATCH_AUTH0_CLIENT_ID");
        assert_eq!(environment_name("charts.repository"), "TAILWATCH_CHART_REPOSITORY");
    }
}

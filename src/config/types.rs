//! Newtypes that are parsed once. Each `FromStr` error is one sentence with the expected value.

use std::fmt;
use std::str::FromStr;

use oci_client::Reference;

/// Why a text is invalid: the expected value, as a fragment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                $check(text).map($name)
            }
        }
    };
}

text_newtype!(/** MagicDNS suffix, e.g. `tail1a2b.ts.net`. */ TailnetDomain, tailnet_domain);
text_newtype!(/** Kubernetes namespace, a DNS label. */ Namespace, dns_label);
text_newtype!(/** First label of a host name. */ Hostname, dns_label);
text_newtype!(/** OIDC issuer, byte for byte as the discovery document has it. */ IssuerUrl, issuer_url);
text_newtype!(/** OAuth client id. */ ClientId, printable);
text_newtype!(/** User of a chart repository. */ UserName, printable);
text_newtype!(/** Claim name. */ GroupsClaim, groups_claim);
text_newtype!(/** A group's exact, case-sensitive name. */ GroupName, printable);
text_newtype!(/** StorageClass name, a DNS subdomain. */ StorageClassName, dns_subdomain);
text_newtype!(/** Auth0 organization: its id or its name. */ Organization, organization);
text_newtype!(/** Name of a ProxyGroup or ProxyClass, a DNS subdomain. */ TailscaleResource, dns_subdomain);
text_newtype!(/** Tailscale tag, with its `tag:` prefix. */ TailscaleTag, tailscale_tag);
text_newtype!(/** Address of a chart repository, a folder of .tgz files, or a bundle. */ ChartRepository, chart_repository);
text_newtype!(/** Registry of container images, may have a path, e.g. `registry.acme.example/mirror`. */ ImageRegistry, image_registry);
text_newtype!(/** Name of a component, which is its release name too, e.g. `loki`. */ ComponentName, component_name);

/// Endings of an archive of `tailwatch bundle`.
const BUNDLE: [&str; 2] = [".tar.gz", ".tgz"];

/// Whether a path names the archive of a bundle.
pub fn is_bundle(path: &str) -> bool {
    BUNDLE.iter().any(|ending| path.ends_with(ending))
}

impl ChartRepository {
    /// Whether it is a bundle in one archive.
    pub fn is_bundle(&self) -> bool {
        !self.as_str().contains("://") && is_bundle(self.as_str())
    }
}

/// The components of the catalogue.
pub const COMPONENTS: [&str; 5] = [TAILSCALE_OPERATOR, KUBE_PROMETHEUS_STACK, OAUTH2_PROXY, LOKI, ALLOY];
/// Serves the Ingress.
pub const TAILSCALE_OPERATOR: &str = "tailscale-operator";
/// Prometheus, Alertmanager, Grafana and the operator with its CRDs.
pub const KUBE_PROMETHEUS_STACK: &str = "kube-prometheus-stack";
/// Signs users in.
pub const OAUTH2_PROXY: &str = "oauth2-proxy";
/// Stores logs.
pub const LOKI: &str = "loki";
/// Collects logs.
pub const ALLOY: &str = "alloy";

fn invalid<T>(reason: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid(reason.into()))
}

/// Group names, issuer and claim are in oauth2-proxy's configuration file, which its chart renders with helm's `tpl`
/// (oauth2-proxy chart 10.7, templates/configmap.yaml): braces would be a template.
fn no_template(text: &str) -> Result<(), Invalid> {
    if text.contains("{{") || text.contains("}}") {
        return invalid("expected no {{ or }}, which helm runs as a template");
    }
    Ok(())
}

/// As the names of images have it: a first part without a dot and a port is a path on Docker Hub (distribution/reference,
/// normalize.go).
fn image_registry(text: &str) -> Result<String, Invalid> {
    let prefix = text.trim_end_matches('/');
    let host = prefix.split('/').next().unwrap_or_default();
    match Reference::try_from(format!("{prefix}/image:tag")) {
        Ok(image) if image.registry() == host => Ok(prefix.to_owned()),
        _ => {
            invalid("expected a registry with an optional path, without https://, such as registry.acme.example/mirror")
        }
    }
}

/// RFC 1123 label.
fn dns_label(text: &str) -> Result<String, Invalid> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 63 {
        return invalid("expected 1 to 63 characters");
    }
    if !text.chars().all(allowed) || text.starts_with('-') || text.ends_with('-') {
        return invalid("expected lower-case letters, digits and dashes, no dash at either end");
    }
    Ok(text.to_owned())
}

fn dns_subdomain(text: &str) -> Result<String, Invalid> {
    if text.len() > 253 {
        return invalid("expected at most 253 characters");
    }
    for label in text.split('.') {
        dns_label(label)?;
    }
    Ok(text.to_owned())
}

/// Accepts the name with or without `.ts.net`, in upper case, or with a trailing dot.
fn tailnet_domain(text: &str) -> Result<String, Invalid> {
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    if name.contains("://") || name.contains('/') {
        return invalid("expected a domain such as tail1a2b.ts.net, not a URL");
    }
    let label = name.strip_suffix(".ts.net").unwrap_or(&name);
    if label.is_empty() || label == "ts.net" || label == "ts" {
        return invalid("expected the tailnet's name before .ts.net, such as tail1a2b.ts.net");
    }
    if label.contains('.') {
        return invalid(
            "expected <name>.ts.net with a single label before it, such as tail1a2b.ts.net (admin console, DNS page)",
        );
    }
    dns_label(label)?;
    Ok(format!("{label}.ts.net"))
}

/// Auth0's issuers end with a slash (domain of the tenant or a custom one); without it every token is rejected, so
/// the slash is added on Auth0's own hosts. Any other issuer is kept byte for byte.
fn issuer_url(text: &str) -> Result<String, Invalid> {
    let Ok(url) = url::Url::parse(text) else {
        return invalid("expected a URL such as https://acme.eu.auth0.com/");
    };
    if url.scheme() != "https" {
        return invalid("expected https:// (plain http is not allowed)");
    }
    if url.host_str().is_none_or(|host| !host.contains('.')) {
        return invalid("expected a host name such as acme.eu.auth0.com");
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return invalid("expected no user, password, query or fragment");
    }
    no_template(text)?;
    if url.path().ends_with("/.well-known/openid-configuration") {
        return invalid("expected the issuer itself, without /.well-known/openid-configuration");
    }
    if text.contains(['"', '\\']) || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return invalid("expected no quotes, backslashes or white space");
    }
    if is_auth0(&url) && url.path() == "/" && !text.ends_with('/') {
        Ok(format!("{text}/"))
    } else {
        Ok(text.to_owned())
    }
}

impl IssuerUrl {
    /// Host name, e.g. `acme.eu.auth0.com`.
    pub fn host(&self) -> String {
        host_of(&self.0).unwrap_or_default()
    }

    /// Whether the host is one of Auth0's. Auth0 also serves custom domains; the discovery document shows that.
    pub fn is_auth0_host(&self) -> bool {
        url::Url::parse(&self.0).is_ok_and(|url| is_auth0(&url))
    }
}

fn is_auth0(url: &url::Url) -> bool {
    url.host_str().is_some_and(|host| host.ends_with(".auth0.com"))
}

fn printable(text: &str) -> Result<String, Invalid> {
    if text.is_empty() || text.len() > 256 {
        return invalid("expected 1 to 256 characters");
    }
    if text.trim() != text || text.chars().any(char::is_control) {
        return invalid("expected no white space at the ends and no control characters");
    }
    no_template(text)?;
    Ok(text.to_owned())
}

fn groups_claim(text: &str) -> Result<String, Invalid> {
    printable(text)?;
    if text.contains(['"', '\\', ' ']) {
        return invalid("expected no quotes, backslashes or spaces");
    }
    Ok(text.to_owned())
}

impl GroupsClaim {
    /// Why Auth0 puts no claim of this name into a token (auth0.com/docs/secure/tokens/json-web-tokens/create-custom-claims):
    /// `groups` and `roles` are restricted names, and claims below its own domains are ignored.
    pub fn reason_dropped_by_auth0(&self) -> Option<&'static str> {
        if ["groups", "roles"].contains(&self.as_str()) {
            return Some(
                "Auth0 silently drops a claim with this name; expected a namespaced one such as https://acme.example/groups",
            );
        }
        let host = host_of(&self.0);
        let is_own = |host: &String| ["auth0.com", "webtask.io", "webtask.run"].iter().any(|own| is_below(host, own));
        host.filter(is_own).map(|_| "Auth0 ignores claims below its own domains; expected a URL of your own domain")
    }
}

fn host_of(url: &str) -> Option<String> {
    url::Url::parse(url).ok()?.host_str().map(str::to_owned)
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// An id (`org_…`) or, if the tenant allows it, a name (auth0.com/docs/manage-users/organizations).
fn organization(text: &str) -> Result<String, Invalid> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.is_empty() || text.len() > 64 || !text.chars().all(allowed) {
        return invalid("expected the organization's id, such as org_AbC123, or its name");
    }
    Ok(text.to_owned())
}

fn tailscale_tag(text: &str) -> Result<String, Invalid> {
    let Some(name) = text.strip_prefix("tag:") else {
        return invalid("expected the prefix tag:, such as tag:k8s");
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(allowed) {
        return invalid("expected tag: and then a letter, letters, digits and dashes, such as tag:k8s");
    }
    Ok(text.to_owned())
}

fn chart_repository(text: &str) -> Result<String, Invalid> {
    if text.trim() != text || text.is_empty() {
        return invalid("expected an address or a folder without white space at the ends");
    }
    let Some((scheme, _)) = text.split_once("://") else { return Ok(text.to_owned()) };
    if !matches!(scheme, "https" | "http" | "oci") {
        return invalid("expected https://, http://, oci://, a folder of .tgz files or a bundle");
    }
    match url::Url::parse(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            invalid("expected no user or password in the address; set charts.username and charts.password instead")
        }
        Ok(url) if url.host_str().is_some() => Ok(text.trim_end_matches('/').to_owned()),
        _ => invalid("expected an address such as https://charts.example/stable"),
    }
}

fn component_name(text: &str) -> Result<String, Invalid> {
    if COMPONENTS.contains(&text) {
        return Ok(text.to_owned());
    }
    match nearest(text, COMPONENTS) {
        Some(near) => invalid(format!("unknown component {text}; did you mean {near}?")),
        None => invalid(format!("unknown component {text}; expected one of {}", COMPONENTS.join(", "))),
    }
}

/// The most similar known word.
pub(crate) fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|word| (strsim::jaro_winkler(&word.to_lowercase(), &text.to_lowercase()), word));
    scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, word)| word)
}

/// Grafana role of every signed-in user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnonymousRole {
    /// Read-only access to dashboards.
    Viewer,
    /// May explore and edit dashboards; the default, since Viewer cannot open Explore.
    Editor,
}

impl AnonymousRole {
    /// As Grafana writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            AnonymousRole::Viewer => "Viewer",
            AnonymousRole::Editor => "Editor",
        }
    }
}

impl FromStr for AnonymousRole {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "Viewer" => Ok(AnonymousRole::Viewer),
            "Editor" => Ok(AnonymousRole::Editor),
            "Admin" => {
                invalid("an anonymous Admin may edit data sources and reach any address; expected Viewer or Editor")
            }
            _ => invalid("expected Viewer or Editor"),
        }
    }
}

/// Whether the Tailscale operator is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorMode {
    /// If the cluster has no IngressClass `tailscale`.
    Auto,
    /// Always.
    Install,
    /// Never; it is already installed.
    Present,
}

impl OperatorMode {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            OperatorMode::Auto => "auto",
            OperatorMode::Install => "install",
            OperatorMode::Present => "present",
        }
    }
}

impl FromStr for OperatorMode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "auto" => Ok(OperatorMode::Auto),
            "install" => Ok(OperatorMode::Install),
            "present" => Ok(OperatorMode::Present),
            _ => invalid("expected auto, install or present"),
        }
    }
}

/// Whether logs are collected: Loki and Alloy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogsMode {
    /// They are installed.
    Install,
    /// Not installed; removed if an earlier run installed them.
    None,
}

impl FromStr for LogsMode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "install" => Ok(LogsMode::Install),
            "none" => Ok(LogsMode::None),
            _ => invalid("expected install or none"),
        }
    }
}

impl LogsMode {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            LogsMode::Install => "install",
            LogsMode::None => "none",
        }
    }
}

#[cfg(test)]
#[path = "types_tests.rs"]
mod tests;

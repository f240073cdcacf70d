//! The validated answers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::auth0_application::callback_url;
use crate::config::{
    Alerts, AnonymousRole, ChartRepository, ChartValues, ChartsLock, ClientId, ComponentName, GroupName, GroupsClaim,
    Hostname, ImageRegistry, IssuerUrl, LogsMode, Namespace, OperatorMode, Organization, Quantity, RetentionPeriod,
    Secret, SessionLifetime, StorageClassName, TailnetDomain, TailscaleResource, TailscaleTag, UserName,
};

/// All settings of the stack; each field is valid by its type.
#[derive(Clone, Debug)]
pub struct Settings {
    /// MagicDNS suffix, e.g. `tail1a2b.ts.net`.
    pub tailnet: TailnetDomain,
    /// Namespace of the stack.
    pub namespace: Namespace,
    /// Grafana.
    pub grafana: Grafana,
    /// The OIDC provider.
    pub auth0: Auth0,
    /// Whether logs are collected.
    pub logs: LogsMode,
    /// Whether alert rules and dashboards for the stack itself are added.
    pub self_monitoring: bool,
    /// Where Alertmanager sends alerts.
    pub alerts: Alerts,
    /// How long data is kept.
    pub retention: Retention,
    /// Volumes.
    pub storage: Storage,
    /// The Tailscale operator.
    pub tailscale: Tailscale,
    /// Chart versions that differ from the catalogue's, by component.
    pub versions: BTreeMap<ComponentName, semver::Version>,
    /// The source of charts.
    pub charts: Charts,
    /// Replaces the registry of every image; `None`: the registries of the charts.
    pub image_registry: Option<ImageRegistry>,
    /// Merged last into a chart's values, by component.
    pub values: BTreeMap<ComponentName, ChartValues>,
}

/// Grafana.
#[derive(Clone, Debug)]
pub struct Grafana {
    /// First label of the address on the tailnet.
    pub hostname: Hostname,
    /// Role of every signed-in user.
    pub anonymous_role: AnonymousRole,
}

/// The OIDC provider.
#[derive(Clone, Debug)]
pub struct Auth0 {
    /// Issuer, byte for byte as the discovery document has it (Auth0: with a trailing slash).
    pub issuer: IssuerUrl,
    /// OAuth client id.
    pub client_id: ClientId,
    /// OAuth client secret; `None` without a source: the one in the cluster stays.
    pub client_secret: Option<Secret<String>>,
    /// Claim of the id token with the groups.
    pub groups_claim: GroupsClaim,
    /// Groups that are admitted; never empty.
    pub allowed_groups: Vec<GroupName>,
    /// Auth0 organization of every sign-in.
    pub organization: Option<Organization>,
    /// How long a session lasts, without another look at the groups.
    pub session_lifetime: SessionLifetime,
}

/// How long data is kept.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Prometheus' samples.
    pub metrics: RetentionPeriod,
    /// Loki's logs; at least 24 h, a whole number of hours.
    pub logs: RetentionPeriod,
}

/// Volumes.
#[derive(Clone, Debug)]
pub struct Storage {
    /// StorageClass; `None` for the cluster's default.
    pub class: Option<StorageClassName>,
    /// Prometheus' volume.
    pub prometheus: Quantity,
    /// Alertmanager's volume.
    pub alertmanager: Quantity,
    /// Loki's volume.
    pub loki: Quantity,
    /// Grafana's volume.
    pub grafana: Quantity,
}

/// The Tailscale operator.
#[derive(Clone, Debug)]
pub struct Tailscale {
    /// Whether to install it.
    pub operator: OperatorMode,
    /// Tags of the proxy device.
    pub tags: Vec<TailscaleTag>,
    /// ProxyGroup of the Ingress (Tailscale KB 1439); `None`: a proxy of its own.
    pub proxy_group: Option<TailscaleResource>,
    /// IngressClass of its operator; `None`: the one with the operator's controller.
    pub ingress_class: Option<TailscaleResource>,
    /// ProxyClass of the proxy.
    pub proxy_class: Option<TailscaleResource>,
    /// OAuth client of the operator; needed only to install it.
    pub oauth_client_id: Option<String>,
    /// Its secret.
    pub oauth_client_secret: Option<Secret<String>>,
}

/// The source of charts.
#[derive(Clone, Debug, Default)]
pub struct Charts {
    /// Replaces every repository's address: `https://…`, `http://…`, `oci://…`, or a folder of .tgz files.
    pub repository: Option<ChartRepository>,
    /// Its archives are not those of the publishers: the catalogue's digests do not apply to them.
    pub repacked: bool,
    /// How repositories are read.
    pub access: RepositoryAccess,
    /// The lock file beside the answers file.
    pub lock: Option<ChartsLock>,
}

/// Credentials and trust of chart repositories.
#[derive(Clone, Debug, Default)]
pub struct RepositoryAccess {
    /// The user.
    pub username: Option<UserName>,
    /// The user's password; `None` if only the saved answers have the user.
    pub password: Option<Secret<String>>,
    /// PEM file of the CA.
    pub ca_file: Option<PathBuf>,
    /// Read an `oci://` repository by HTTP without TLS.
    pub plain_http: bool,
}

impl RepositoryAccess {
    /// User and password, if both are known.
    pub fn login(&self) -> Option<(&str, &Secret<String>)> {
        Some((self.username.as_ref()?.as_str(), self.password.as_ref()?))
    }
}

impl Settings {
    /// `grafana.tail1a2b.ts.net`
    pub fn grafana_fqdn(&self) -> String {
        format!("{}.{}", self.grafana.hostname, self.tailnet)
    }

    /// `https://grafana.tail1a2b.ts.net/oauth2/callback`, the exact callback URL to register.
    pub fn callback_url(&self) -> String {
        callback_url(&self.grafana_fqdn())
    }
}

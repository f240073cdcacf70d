//! Settings: parsed once into types that cannot hold a wrong value, with the provenance of each.
//! Owns answers, flags, environment, defaults and their precedence; must not talk to a cluster, print or prompt.

mod answers;
mod answers_yaml;
mod by_component;
mod chart_values;
mod draft;
mod env;
mod error;
mod load;
mod saved_answers;
mod saved_state;
mod schema;
mod secret;
mod secret_detection;
mod secret_source;
mod secret_text;
mod tailscale_operator;
mod template;
mod types;
mod units;

use std::collections::BTreeMap;

pub use answers::{ROWS, Row, Shape, environment_name, find_row};
pub use chart_values::{ChartValues, child};
pub use draft::{Draft, Entry, Provenance};
pub use env::is_known_variable;
pub use error::{ConfigError, Problem};
pub use load::{Sources, add_saved, kept_alone, load, load_beside_mistakes};
pub use saved_answers::saved_answers;
pub use saved_state::{SAVED_ANSWERS, SAVED_FILE, SavedState, Unconfirmed, add_state, record};
pub use schema::schema;
pub use secret::Secret;
pub use secret_detection::secret_texts;
pub use tailscale_operator::{OperatorPlan, TailscaleOperator};
pub use template::template;
pub(crate) use types::nearest;
pub use types::{
    AnonymousRole, COMPONENTS, ChartRepository, ClientId, ComponentName, GroupName, GroupsClaim, Hostname, Invalid,
    IssuerUrl, LogsMode, Namespace, OperatorMode, StorageClassName, TailnetDomain, TailscaleTag,
};
pub use units::{Quantity, RetentionPeriod};

/// Everything the stack is built from. Every field is valid by its type.
#[derive(Clone, Debug)]
pub struct Settings {
    /// MagicDNS suffix, e.g. `tail1a2b.ts.net`.
    pub tailnet: TailnetDomain,
    /// Namespace of the stack.
    pub namespace: Namespace,
    /// oauth2-proxy.
    pub grafana: Grafana,
    /// The OIDC provider.
    pub auth0: Auth0,
    /// Whether logs are collected.
    pub logs: LogsMode,
    /// How long data is kept.
    pub retention: Retention,
    /// Volumes.
    pub storage: Storage,
    /// The Tailscale operator.
    pub tailscale: Tailscale,
    /// Chart versions that differ from the catalogue's, by component.
    pub versions: BTreeMap<ComponentName, semver::Version>,
    /// Where charts come from.
    pub charts: Charts,
    /// Merged last into a chart's values, by component.
    pub values: BTreeMap<ComponentName, ChartValues>,
}

/// oauth2-proxy.
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
    /// OAuth client secret; `None` where no source is given, then the one in the cluster is kept.
    pub client_secret: Option<Secret<String>>,
    /// Namespaced claim of the id token that lists the groups.
    pub groups_claim: GroupsClaim,
    /// Groups that get in; never empty.
    pub allowed_groups: Vec<GroupName>,
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
    /// OAuth client of the operator; needed only where it is installed.
    pub oauth_client_id: Option<String>,
    /// Its secret.
    pub oauth_client_secret: Option<Secret<String>>,
}

/// Where charts come from.
#[derive(Clone, Debug, Default)]
pub struct Charts {
    /// Replaces every repository's address: `https://…`, `http://…`, `oci://…`, or a folder of .tgz files.
    pub repository: Option<ChartRepository>,
}

impl Settings {
    /// `grafana.tail1a2b.ts.net`
    pub fn grafana_fqdn(&self) -> String {
        format!("{}.{}", self.grafana.hostname, self.tailnet)
    }

    /// `https://grafana.tail1a2b.ts.net/oauth2/callback`, the exact callback URL to register.
    pub fn callback_url(&self) -> String {
        format!("https://{}/oauth2/callback", self.grafana_fqdn())
    }
}

/// Settings as the documented example has them.
#[cfg(test)]
pub(crate) fn settings_for_tests() -> Settings {
    let mut draft = Draft::default();
    for (key, text) in [
        ("tailnet", "tail1a2b.ts.net"),
        ("auth0.issuer", "https://acme.eu.auth0.com/"),
        ("auth0.clientId", "client-1"),
        ("auth0.groupsClaim", "https://acme.example/groups"),
    ] {
        draft.set(key, text, Provenance::Set).unwrap();
    }
    draft.set_secret("auth0.clientSecret", Secret::new("s3cret".into()));
    draft.finish().unwrap()
}

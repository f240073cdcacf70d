//! Settings: parsed once into types that are valid by construction, each with its provenance.
//! Owns answers, flags, environment, defaults and their precedence; must not talk to a cluster, print or prompt.

mod alerts;
mod answers;
mod answers_file;
mod answers_yaml;
mod auth0_application;
mod by_component;
mod chart_values;
mod charts_lock;
mod contradictions;
mod draft;
mod env;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod load;
mod repository_access;
mod saved_answers;
mod saved_secret;
mod saved_state;
mod schema;
mod secret;
mod secret_detection;
mod secret_source;
mod secret_text;
mod settings;
mod tailscale_operator;
mod template;
mod types;
mod units;
mod value_path;

pub use alerts::{AlertReceiver, Alerts};
pub use answers::{ROWS, Row, Shape, environment_name, find_row};
pub use auth0_application::{application_settings, post_login_action};
pub use chart_values::ChartValues;
pub use charts_lock::{CHARTS_LOCK, ChartsLock, LockedChart};
pub use draft::{Draft, Entry, Provenance};
pub use env::is_known_variable;
pub use error::{ConfigError, Problem};
#[cfg(test)]
pub(crate) use fuzzing::settings_for_tests;
pub use load::{Sources, add_saved, load, load_despite_problems, load_saved_only};
pub use saved_answers::saved_answers;
pub use saved_secret::{SAVED_ANSWERS, SAVED_FILE, SavedState};
pub use saved_state::{Unconfirmed, add_state, record};
pub use schema::schema;
pub use secret::Secret;
pub use secret_detection::secret_texts;
pub use secret_source::EnvironmentVariables;
pub use settings::{Auth0, Charts, Grafana, RepositoryAccess, Retention, Settings, Storage, Tailscale};
pub use tailscale_operator::{INGRESS_CLASS, IngressClass, OperatorPlan, TailscaleOperator};
pub use template::template;
pub(crate) use types::nearest;
pub use types::{
    ALLOY, AnonymousRole, COMPONENTS, ChartRepository, ClientId, ComponentName, GroupName, GroupsClaim, Hostname,
    ImageRegistry, Invalid, IssuerUrl, KUBE_PROMETHEUS_STACK, LOKI, LogsMode, Namespace, OAUTH2_PROXY, OperatorMode,
    Organization, StorageClassName, TAILSCALE_OPERATOR, TailnetDomain, TailscaleResource, TailscaleTag, UserName,
    is_bundle,
};
pub use units::{Quantity, RetentionPeriod, SessionLifetime};
pub use value_path::child;

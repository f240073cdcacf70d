//! The catalogue and the desired state: releases from `values/`, typed placeholders filled in the parsed document, the
//! merge of values, and the manifests of the own objects. Pure: no cluster, no helm, no output.

mod alert_receiver;
mod catalogue;
mod certificate;
mod chart_names;
mod chart_sources;
mod cluster_facts;
mod component_rules;
mod desired;
mod error;
mod helm_driver;
mod images;
mod manifests;
mod names;
mod network_policies;
mod nodes;
mod oauth_clients;
mod own_object;
mod own_secrets;
mod recorded_charts;
mod release;
mod secrets;
mod self_monitoring;
mod template;
mod upgrades;
mod yaml;

pub use alert_receiver::{TEST_ALERT, receiver_name};
pub use catalogue::{Catalogue, CatalogueEntry};
pub use chart_names::{ALERTMANAGER, ChartNames, GRAFANA, PROMETHEUS};
pub use chart_sources::ChartPlace;
pub use cluster_facts::ClusterFacts;
pub use component_rules::{ComponentRules, Omission};
pub use desired::{Auth0Endpoints, desired};
pub use error::StackError;
pub use helm_driver::HelmDriver;
pub use images::{PublishedImage, RELOADER, image_names, images};
pub use manifests::{ENFORCED_LEVEL, LEVELS, note_on_releases, saved_answers_object};
pub use names::{
    ALERTS_SECRET, ANSWERS_RECORD, CHARTS_RECORD, CLUSTER_LOCK, DASHBOARDS, GRAFANA_SECRET, LIMIT_LABEL, MACHINE_LABEL,
    MADE_BY_US, MANAGED_BY, OAUTH2_PROXY_SECRET, REVISIONS, RUN_LABEL, SALT, TAILSCALE_NAMESPACE, TAILSCALE_SECRET,
    TAILWATCH, WEBHOOK_SECRET, WRITTEN_BY,
};
pub use nodes::{Effect, NodeProblem, NodeState, NodeStates, VIRTUAL_LABELS, VIRTUAL_TAINT, VirtualBy};
pub use oauth_clients::{OidcClient, OperatorClient, stored_oidc_client, stored_operator_client};
pub use own_object::{OwnObject, SecretData};
pub use own_secrets::OwnSecret;
pub use recorded_charts::{DigestSource, KnownDigest, RecordedChart, RecordedCharts};
pub use release::{ChartSource, CrdPolicy, Release, WaitFor};
pub use upgrades::{UpgradePath, UpgradeStep, ValueChange};

pub use crate::config::SAVED_ANSWERS;

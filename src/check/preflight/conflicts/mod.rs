//! Existing objects that conflict with the stack: releases of the same charts, CRDs, objects of the same names, another
//! Prometheus operator, data sources. Read-only; each row has a `read` and a pure `judge`.

mod crds;
mod data_sources;
mod intent;
mod operators;
mod own_objects;
mod ownership;
mod releases;

pub use intent::Intent;
use intent::release_of;
pub use ownership::OWNERSHIP;

use crate::check::precomputed::{GROUP, Precomputed};
use crate::check::row::Row;
use crate::cluster::{Cluster, ClusterError};
use crate::config::KUBE_PROMETHEUS_STACK;
use crate::event::CheckResult;
use crate::helm::{Helm, HelmError};
use crate::plan::{PlannedRelease, Takeover};

pub(in crate::check) const ROWS: &[Row<Precomputed>] = &[
    Row::new("release-conflict", GROUP, "no conflicting release of these charts exists", |known: &Precomputed| {
        known.finding("release-conflict")
    })
    .within(0)
    .warns()
    .hint("remove the other release, check that the two do not interfere, or use another cluster"),
    Row::new(
        "crd-conflict",
        GROUP,
        "the CRDs of the Prometheus operator have no other owner and are not newer",
        |known: &Precomputed| known.finding("crd-conflict"),
    )
    .within(0)
    .hint("adopt them with --adopt, or use another cluster; newer CRDs need a newer chart"),
    Row::new(OWNERSHIP, GROUP, "no object of the stack exists with another owner", |known: &Precomputed| {
        known.finding(OWNERSHIP)
    })
    .within(0)
    .hint("remove or rename them, or adopt them with --adopt (helm 3.17 or later for objects of charts)"),
    Row::new(
        "prometheus-operator-conflict",
        GROUP,
        "no other Prometheus operator watches the same namespaces",
        |known: &Precomputed| known.finding("prometheus-operator-conflict"),
    )
    .within(0)
    .hint("give the other one --deny-namespaces=NAMESPACE, or remove it"),
    Row::new(
        "grafana-data-source-conflict",
        GROUP,
        "Grafana has no other default data source",
        |known: &Precomputed| known.finding("grafana-data-source-conflict"),
    )
    .within(0)
    .hint("set `isDefault: false` there, or remove its label"),
];

/// What was found.
pub struct Findings {
    /// One row each, in the order of the report.
    pub checks: Vec<CheckResult>,
    /// The objects that will be adopted.
    pub takeovers: Vec<Takeover>,
}

/// A failed request of these checks.
#[derive(Debug)]
pub enum QueryError {
    /// The cluster did not answer.
    Cluster(ClusterError),
    /// helm could not list the releases.
    Helm(HelmError),
}

/// If helm installs and changes nothing: only the row `object-conflict`, for own objects.
pub async fn of_own_objects(helm: &Helm, intent: &Intent<'_>) -> Findings {
    let (objects, takeovers) = ownership::judge(&[], &intent.own, intent.ownership, helm.version());
    let mut checks = Precomputed::new("", [(OWNERSHIP, objects)]).run(ROWS).await;
    checks.retain(|check| check.id == OWNERSHIP);
    Findings { checks, takeovers }
}

/// Runs all rows.
pub async fn run(cluster: &Cluster, helm: &Helm, intent: &Intent<'_>) -> Result<Findings, QueryError> {
    let releases = async { helm.list_everywhere().await.map_err(QueryError::Helm) };
    let rest = async {
        let read = futures::try_join!(
            crds::read(cluster, &intent.incoming),
            ownership::read(cluster, &intent.incoming),
            operators::read(cluster),
            data_sources::read(cluster, intent),
        );
        read.map_err(QueryError::Cluster)
    };
    let (releases, (crds, existing, operators, sources)) = futures::try_join!(releases, rest)?;
    let (crds, mut takeovers) = crds::judge(intent, &crds, &releases);
    let (objects, more) = ownership::judge(&existing, &intent.own, intent.ownership, helm.version());
    takeovers.extend(more);
    let findings = [
        ("release-conflict", releases::judge(&intent.desired, &releases)),
        ("crd-conflict", crds),
        (OWNERSHIP, objects),
        ("prometheus-operator-conflict", operators::judge(&intent.desired, &operators)),
        ("grafana-data-source-conflict", data_sources::judge(&intent.desired, &sources)),
    ];
    let namespace = release_of(&intent.desired, KUBE_PROMETHEUS_STACK).map_or("", |stack| &stack.namespace);
    Ok(Findings { checks: Precomputed::new(namespace, findings).run(ROWS).await, takeovers })
}

/// The objects that helm would adopt now, to compare with the confirmed ones.
pub async fn takeovers(cluster: &Cluster, incoming: &[PlannedRelease<'_>]) -> Result<Vec<Takeover>, ClusterError> {
    Ok(ownership::takeovers(&ownership::read(cluster, incoming).await?))
}

#[cfg(test)]
pub(in crate::check) mod fixtures {
    use serde_json::Value;

    use crate::cluster::{Held, ObjectRef};
    use crate::helm::{ReleaseInfo, ReleaseStatus};
    use crate::stack::Release;

    pub(in crate::check) fn release(component: &str) -> Release {
        Release::for_tests(component, "79.10.0")
    }

    pub(super) fn installed_release(name: &str, namespace: &str, chart: &str) -> ReleaseInfo {
        ReleaseInfo {
            name: name.into(),
            namespace: namespace.into(),
            revision: 1,
            status: ReleaseStatus::Deployed,
            chart: chart.into(),
            chart_version: semver::Version::new(70, 1, 0),
            app_version: String::new(),
        }
    }

    /// With helm's label and annotations if it belongs to a release.
    pub(super) fn held(object: &Value, release: Option<(&str, &str)>, managers: &[&str]) -> Held {
        let mut held = Held {
            object: ObjectRef::of(object),
            labels: Default::default(),
            annotations: Default::default(),
            managers: managers.iter().map(|manager| (*manager).to_owned()).collect(),
        };
        if let Some((name, namespace)) = release {
            held.labels.insert("app.kubernetes.io/managed-by".into(), "Helm".into());
            held.annotations.insert("meta.helm.sh/release-name".into(), name.into());
            held.annotations.insert("meta.helm.sh/release-namespace".into(), namespace.into());
        }
        held
    }
}

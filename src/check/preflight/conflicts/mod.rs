//! Existing objects that conflict with the stack: releases of the same charts, CRDs, objects of the same names, another
//! Prometheus operator, data sources. Read-only; each row has a `read` and a pure `judge`.

mod crds;
mod data_sources;
#[cfg(any(test, fuzzing))]
pub(in crate::check) mod fuzzing;
mod intent;
mod operators;
mod own_objects;
mod ownership;
mod releases;

use futures::FutureExt as _;

use data_sources::Source;
pub use intent::Intent;
use intent::release_of;
use operators::Operator;
pub use ownership::OWNERSHIP;

use crate::check::monitor_tokens;
use crate::check::preflight::{Permitted, fact, judged, unless_forbidden};
use crate::check::row::{Finding, Row, known};
use crate::check::runner::{self, Subject};
use crate::cluster::{Cluster, ClusterError, ManagedObject, Operators};
use crate::config::KUBE_PROMETHEUS_STACK;
use crate::event::CheckResult;
use crate::helm::{Helm, ReleaseInfo};
use crate::plan::{PlannedRelease, Takeover, releases_everywhere};

pub(in crate::check) const ROWS: &[Row<Facts>] = &[
    fact("release-conflict", "no conflicting release of these charts exists", |facts: &Facts| {
        known(facts.releases.clone())
    })
    .warns()
    .hint("remove the other release, check that the two do not interfere, or use another cluster"),
    fact(
        "crd-conflict",
        "the CRDs of the Prometheus operator have no other owner and are not newer",
        |facts: &Facts| known(facts.crds.clone()),
    )
    .hint("adopt them with --adopt, or use another cluster; newer CRDs need a newer chart"),
    fact(OWNERSHIP, "no object of the stack exists with another owner", |facts: &Facts| known(facts.objects.clone()))
        .hint("remove or rename them, or adopt them with --adopt (helm 3.17 or later for objects of charts)"),
    fact(
        "prometheus-operator-conflict",
        "no other Prometheus operator watches the same namespaces",
        |facts: &Facts| known(facts.operators.clone()),
    )
    .hint("give the other one --deny-namespaces=NAMESPACE, or remove it"),
    fact("grafana-data-source-conflict", "Grafana has no other default data source", |facts: &Facts| {
        known(facts.data_sources.clone())
    })
    .hint("set `isDefault: false` there, or remove its label"),
    fact(
        "service-monitor-tokens",
        "no ServiceMonitor of another namespace will be sent the token of Prometheus",
        |facts: &Facts| known(facts.token_monitors.clone()),
    )
    .warns()
    .hint(monitor_tokens::HINT),
];

/// The existing objects, compared with the plan; two of the comparisons yield the takeovers, too.
pub(in crate::check) struct Facts {
    namespace: String,
    releases: Finding,
    crds: Finding,
    objects: Finding,
    operators: Finding,
    data_sources: Finding,
    token_monitors: Finding,
}

impl Subject for Facts {
    fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// What was found.
pub struct Findings {
    /// One row each, in the order of the report.
    pub checks: Vec<CheckResult>,
    /// The objects that will be adopted.
    pub takeovers: Vec<Takeover>,
}

/// What exists in the cluster.
struct Existing {
    releases: Permitted<Vec<ReleaseInfo>>,
    crds: Permitted<Vec<ManagedObject>>,
    objects: Permitted<Vec<ownership::Existing>>,
    operators: Permitted<Vec<Operator>>,
    data_sources: Permitted<Vec<Source>>,
    token_monitors: Permitted<Vec<String>>,
}

impl Existing {
    const NONE: Existing = Existing {
        releases: Ok(Vec::new()),
        crds: Ok(Vec::new()),
        objects: Ok(Vec::new()),
        operators: Ok(Vec::new()),
        data_sources: Ok(Vec::new()),
        token_monitors: Ok(Vec::new()),
    };
}

/// If helm installs and changes nothing: only the row `object-conflict`, for own objects.
pub async fn of_own_objects(helm: &Helm, intent: &Intent<'_>) -> Findings {
    let (facts, takeovers) = compare(helm, intent, &Existing::NONE);
    let rows = ROWS.iter().filter(|row| row.id == OWNERSHIP);
    Findings { checks: runner::run(rows, &facts, None).await, takeovers }
}

/// Runs all rows. `operators` of the cluster; `None`: this context may not list Deployments.
pub async fn run(
    cluster: &Cluster,
    helm: &Helm,
    intent: &Intent<'_>,
    operators: Option<&Operators>,
) -> Result<Findings, ClusterError> {
    let (releases, crds, objects, data_sources, token_monitors) = futures::try_join!(
        releases_everywhere(cluster, helm.driver()).map(unless_forbidden),
        crds::read(cluster, &intent.incoming).map(unless_forbidden),
        ownership::read(cluster, &intent.incoming).map(unless_forbidden),
        data_sources::read(cluster, intent).map(unless_forbidden),
        token_monitors(cluster, intent).map(unless_forbidden),
    )?;
    let operators = operators.map(|found| found.prometheus.iter().filter_map(Operator::of).collect());
    let operators = operators.ok_or_else(|| "this context may not list deployments.apps in all namespaces".to_owned());
    let existing = Existing { releases, crds, objects, operators, data_sources, token_monitors };
    let (facts, takeovers) = compare(helm, intent, &existing);
    Ok(Findings { checks: runner::run(ROWS, &facts, None).await, takeovers })
}

async fn token_monitors(cluster: &Cluster, intent: &Intent<'_>) -> Result<Vec<String>, ClusterError> {
    let mut found = Vec::new();
    for incoming in &intent.incoming {
        for prometheus in incoming.rendered.iter().filter(|object| object["kind"] == "Prometheus") {
            found.extend(monitor_tokens::read(cluster, (prometheus, incoming.namespace_of(prometheus))).await?);
        }
    }
    Ok(found)
}

fn compare(helm: &Helm, intent: &Intent<'_>, existing: &Existing) -> (Facts, Vec<Takeover>) {
    let mut takeovers = Vec::new();
    let mut keeping = |(finding, more): (Finding, Vec<Takeover>)| {
        takeovers.extend(more);
        finding
    };
    let releases = existing.releases.as_deref().unwrap_or_default();
    let crds = judged(&existing.crds, |crds| keeping(crds::judge(intent, crds, releases)));
    let objects = judged(&existing.objects, |objects| {
        keeping(ownership::judge(objects, &intent.own, intent.ownership, helm.version()))
    });
    let namespace = release_of(&intent.desired, KUBE_PROMETHEUS_STACK).map_or("", |stack| &stack.namespace).to_owned();
    let facts = Facts {
        namespace,
        releases: judged(&existing.releases, |releases| releases::judge(&intent.desired, releases)),
        crds,
        objects,
        operators: judged(&existing.operators, |operators| operators::judge(&intent.desired, operators)),
        data_sources: judged(&existing.data_sources, |sources| data_sources::judge(&intent.desired, sources)),
        token_monitors: judged(&existing.token_monitors, |found| monitor_tokens::judge(found)),
    };
    (facts, takeovers)
}

/// The objects that helm would adopt now, to compare with the confirmed ones.
pub async fn takeovers(cluster: &Cluster, incoming: &[PlannedRelease<'_>]) -> Result<Vec<Takeover>, ClusterError> {
    Ok(ownership::takeovers(&ownership::read(cluster, incoming).await?))
}

#[cfg(test)]
pub(in crate::check) mod fixtures {
    use serde_json::Value;

    use crate::cluster::{ManagedObject, ObjectRef};
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
    pub(super) fn managed(object: &Value, release: Option<(&str, &str)>, managers: &[&str]) -> ManagedObject {
        let mut managed = ManagedObject {
            object: ObjectRef::of(object),
            labels: Default::default(),
            annotations: Default::default(),
            managers: managers.iter().map(|manager| (*manager).to_owned()).collect(),
        };
        if let Some((name, namespace)) = release {
            managed.labels.insert("app.kubernetes.io/managed-by".into(), "Helm".into());
            managed.annotations.insert("meta.helm.sh/release-name".into(), name.into());
            managed.annotations.insert("meta.helm.sh/release-namespace".into(), namespace.into());
        }
        managed
    }
}

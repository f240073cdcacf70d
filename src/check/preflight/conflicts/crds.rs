//! CRDs of the Prometheus operator with another owner.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::preflight::conflicts::intent::{Intent, release_key, release_of};
use crate::check::row::Finding;
use crate::cluster::{Cluster, ClusterError, ManagedObject, OPERATOR_VERSION, ObjectRef};
use crate::config::KUBE_PROMETHEUS_STACK;
use crate::helm::{Ownership, ReleaseInfo};
use crate::plan::{PlannedRelease, Takeover};

/// Charts with these CRDs. helm marks CRDs from `crds/` only with its field manager.
const CHARTS: [&str; 3] = [KUBE_PROMETHEUS_STACK, "prometheus-operator-crds", "prometheus-operator"];
/// Field managers of kubectl, or of helm after an uninstall: the CRDs have no owner any more.
const MANUAL: [&str; 3] = ["helm", "Helm", "kubectl"];

/// The owner of a CRD.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Tailwatch,
    /// An installed release, or a controller.
    Active(String),
    /// A deleted release, or kubectl.
    Inactive(String),
}

/// The live CRDs; none are read if the plan applies none.
pub(super) async fn read(
    cluster: &Cluster,
    incoming: &[PlannedRelease<'_>],
) -> Result<Vec<ManagedObject>, ClusterError> {
    if incoming.iter().all(|incoming| incoming.crds.is_empty()) {
        return Ok(Vec::new());
    }
    cluster.managed_objects(("apiextensions.k8s.io/v1", "CustomResourceDefinition"), None).await
}

/// `crd-conflict`
pub(super) fn judge(
    intent: &Intent<'_>,
    live: &[ManagedObject],
    installed: &[ReleaseInfo],
) -> (Finding, Vec<Takeover>) {
    let applied: BTreeMap<String, Option<semver::Version>> = intent
        .incoming
        .iter()
        .flat_map(|incoming| incoming.crds)
        .map(|crd| {
            let annotations = crd.pointer("/metadata/annotations");
            (ObjectRef::of(crd).name, version(annotations.and_then(|all| all.get(OPERATOR_VERSION)?.as_str())))
        })
        .collect();
    let own = release_of(&intent.desired, KUBE_PROMETHEUS_STACK).map(release_key);
    let existing: Vec<&ManagedObject> = live.iter().filter(|crd| applied.contains_key(&crd.object.name)).collect();
    for crd in &existing {
        let (found, offered) = (version_of(crd), applied.get(&crd.object.name).cloned().flatten());
        if let (Some(found), Some(offered)) = (found, offered)
            && found > offered
        {
            let detail = format!("{} is of operator {found}, the chart has {offered}", crd.object.name);
            let hint = "select a chart that is at least as new, with `versions: { kube-prometheus-stack: … }` in the \
                        answers; CRDs are never downgraded";
            return (Finding::fail(detail).hinting(hint), Vec::new());
        }
    }
    let mut owners: BTreeMap<Owner, Vec<&ManagedObject>> = BTreeMap::new();
    for crd in existing {
        owners.entry(owner(crd, own, installed)).or_default().push(crd);
    }
    owners.remove(&Owner::Tailwatch);
    let detail = owners.iter().map(|(owner, crds)| group(owner, crds)).collect::<Vec<_>>().join("; ");
    let foreign = owners.keys().any(|owner| matches!(owner, Owner::Active(_)));
    if foreign && intent.ownership == Ownership::Respect {
        let hint = "adopt them with --adopt (no pod restarts, but the current owner may change them back), remove the \
                    owner without its CRDs, or use another cluster";
        return (Finding::fail(detail).hinting(hint), Vec::new());
    }
    let takeovers = owners.iter().filter_map(|(owner, crds)| match owner {
        Owner::Active(owner) => Some((owner, crds)),
        Owner::Tailwatch | Owner::Inactive(_) => None,
    });
    let takeovers = takeovers.map(|(owner, crds)| {
        let object = format!("{} CRDs of the Prometheus operator", crds.len());
        Takeover { object, owner: owner.clone(), ..Takeover::default() }
    });
    (Finding::pass(detail), takeovers.collect())
}

fn owner(crd: &ManagedObject, own: Option<(&str, &str)>, installed: &[ReleaseInfo]) -> Owner {
    let is_installed =
        |key: (&str, &str)| installed.iter().any(|info| (info.name.as_str(), info.namespace.as_str()) == key);
    if crd.is_applied_by_us() || (own.is_some() && crd.release() == own) {
        return Owner::Tailwatch;
    }
    if let Some(release) = crd.release() {
        return if is_installed(release) { Owner::Active(crd.owner()) } else { Owner::Inactive(crd.owner()) };
    }
    let is_manual = |manager: &String| MANUAL.contains(&manager.as_str()) || manager.starts_with("kubectl-");
    if !crd.managers.iter().all(is_manual) {
        return Owner::Active(crd.owner());
    }
    let from_chart = crd.managers.iter().any(|manager| MANUAL[..2].contains(&manager.as_str()));
    let release = installed.iter().find(|info| {
        CHARTS.contains(&info.chart.as_str()) && Some((info.name.as_str(), info.namespace.as_str())) != own
    });
    match release {
        Some(info) if from_chart => Owner::Active(format!("release {} in namespace {}", info.name, info.namespace)),
        _ => Owner::Inactive(crd.owner()),
    }
}

/// `10 CRDs of release prom in namespace metrics (operator 0.80.0)`
fn group(owner: &Owner, crds: &[&ManagedObject]) -> String {
    let versions: BTreeSet<String> =
        crds.iter().filter_map(|crd| crd.annotations.get(OPERATOR_VERSION)).cloned().collect();
    let versions = match versions.into_iter().collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "no version".to_owned(),
        some => format!("operator {some}"),
    };
    let count = crds.len();
    match owner {
        Owner::Active(owner) => format!("{count} CRDs belong to {owner} ({versions})"),
        Owner::Inactive(owner) => format!("{count} CRDs of {owner} ({versions}) are adopted"),
        Owner::Tailwatch => format!("{count} CRDs belong to tailwatch ({versions})"),
    }
}

fn version_of(crd: &ManagedObject) -> Option<semver::Version> {
    version(crd.annotations.get(OPERATOR_VERSION).map(String::as_str))
}

fn version(text: Option<&str>) -> Option<semver::Version> {
    semver::Version::parse(text?.trim_start_matches('v')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::preflight::conflicts::fixtures::{installed_release, managed, release};
    use crate::check::row::State;
    use serde_json::{Value, json};

    const NAME: &str = "probes.monitoring.coreos.com";

    fn crd() -> Value {
        let metadata = json!({"name": NAME, "annotations": {OPERATOR_VERSION: "0.86.2"}});
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata})
    }

    /// A live CRD with its owner.
    fn live(version: &str, release: Option<(&str, &str)>, managers: &[&str]) -> ManagedObject {
        let mut managed = managed(&crd(), release, managers);
        managed.annotations.insert(OPERATOR_VERSION.into(), version.into());
        managed
    }

    fn judged(live: ManagedObject, installed: &[ReleaseInfo], ownership: Ownership) -> (State, String, usize) {
        let stack = release(KUBE_PROMETHEUS_STACK);
        let crds = [crd()];
        let incoming = PlannedRelease { release: &stack, rendered: &[], hooks: &[], crds: &crds, installed: &[] };
        let intent = Intent { desired: vec![&stack], incoming: vec![incoming], own: vec![], ownership };
        let (row, takeovers) = judge(&intent, &[live], installed);
        (row.state, row.detail, takeovers.len())
    }

    #[test]
    fn newer_crds_are_rejected_with_any_owner() {
        for ownership in [Ownership::Respect, Ownership::Take] {
            let (verdict, detail, _) = judged(live("0.87.0", None, &["tailwatch"]), &[], ownership);
            assert_eq!(verdict, State::Fail);
            assert_eq!(detail, "probes.monitoring.coreos.com is of operator 0.87.0, the chart has 0.86.2");
        }
    }

    #[test]
    fn own_crds_and_those_without_an_active_owner_pass() {
        let prom = [installed_release("prom", "metrics", KUBE_PROMETHEUS_STACK)];
        let own = Some((KUBE_PROMETHEUS_STACK, "monitoring"));
        for (crd, installed) in [
            (live("0.86.2", None, &["helm", "tailwatch"]), &prom[..]),
            (live("0.80.0", own, &["helm"]), &[]),
            (live("0.80.0", Some(("prom", "metrics")), &["helm"]), &[]),
            (live("0.80.0", None, &["helm"]), &[]),
            (live("0.80.0", None, &["kubectl-client-side-apply"]), &prom),
        ] {
            let (verdict, detail, takeovers) = judged(crd.clone(), installed, Ownership::Respect);
            assert_eq!((verdict, takeovers), (State::Pass, 0), "{crd:?}: {detail}");
        }
        let (_, detail, _) = judged(live("0.80.0", None, &["kubectl-create"]), &[], Ownership::Respect);
        assert_eq!(detail, "1 CRDs of field manager kubectl-create (operator 0.80.0) are adopted");
    }

    #[test]
    fn crds_of_an_active_owner_are_adopted_only_with_consent() {
        let prom = [installed_release("prom", "metrics", KUBE_PROMETHEUS_STACK)];
        for (crd, owner) in [
            (live("0.80.0", None, &["helm"]), "release prom in namespace metrics"),
            (live("0.80.0", Some(("prom", "metrics")), &["helm"]), "release prom in namespace metrics"),
            (live("0.80.0", None, &["argocd-controller"]), "field manager argocd-controller"),
        ] {
            let (verdict, detail, takeovers) = judged(crd.clone(), &prom, Ownership::Respect);
            assert_eq!((verdict, takeovers), (State::Fail, 0));
            assert_eq!(detail, format!("1 CRDs belong to {owner} (operator 0.80.0)"));
            let (verdict, _, takeovers) = judged(crd, &prom, Ownership::Take);
            assert_eq!((verdict, takeovers), (State::Pass, 1));
        }
    }
}

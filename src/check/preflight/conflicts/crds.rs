//! CRDs of the Prometheus operator that someone else brought.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::preflight::conflicts::intent::{Intent, place, release_of};
use crate::check::row::Finding;
use crate::cluster::{Cluster, ClusterError, Held, OPERATOR_VERSION, ObjectRef};
use crate::config::KUBE_PROMETHEUS_STACK;
use crate::helm::{Ownership, ReleaseInfo};
use crate::plan::{PlannedRelease, Takeover};

/// Charts that bring them. helm marks what comes from `crds/` with nothing but its field manager.
const BRINGERS: [&str; 3] = [KUBE_PROMETHEUS_STACK, "prometheus-operator-crds", "prometheus-operator"];
/// Field managers of a person, or of a helm whose release is gone: nobody will miss the CRDs.
const HANDS: [&str; 3] = ["helm", "Helm", "kubectl"];

/// Whose a CRD is.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Ours,
    /// Somebody who is still there.
    Alive(String),
    /// Nobody any more.
    Gone(String),
}

/// The CRDs that stand, where any are to be applied.
pub(super) async fn read(cluster: &Cluster, incoming: &[PlannedRelease<'_>]) -> Result<Vec<Held>, ClusterError> {
    if incoming.iter().all(|incoming| incoming.crds.is_empty()) {
        return Ok(Vec::new());
    }
    cluster.held(("apiextensions.k8s.io/v1", "CustomResourceDefinition"), None).await
}

/// `crd-conflict`
pub(super) fn judge(intent: &Intent<'_>, live: &[Held], alive: &[ReleaseInfo]) -> (Finding, Vec<Takeover>) {
    let applied: BTreeMap<String, Option<semver::Version>> = intent
        .incoming
        .iter()
        .flat_map(|incoming| incoming.crds)
        .map(|crd| {
            let annotations = crd.pointer("/metadata/annotations");
            (ObjectRef::of(crd).name, version(annotations.and_then(|all| all.get(OPERATOR_VERSION)?.as_str())))
        })
        .collect();
    let ours = release_of(&intent.wanted, KUBE_PROMETHEUS_STACK).map(place);
    let standing: Vec<&Held> = live.iter().filter(|crd| applied.contains_key(&crd.object.name)).collect();
    for crd in &standing {
        let (found, brought) = (version_of(crd), applied.get(&crd.object.name).cloned().flatten());
        if let (Some(found), Some(brought)) = (found, brought)
            && found > brought
        {
            let detail = format!("{} is of operator {found}, the chart has {brought}", crd.object.name);
            let hint = "ask for a chart that is at least as new, with `versions: { kube-prometheus-stack: … }` in the \
                        answers; CRDs are never downgraded";
            return (Finding::fail(detail).hinting(hint), Vec::new());
        }
    }
    let mut owners: BTreeMap<Owner, Vec<&Held>> = BTreeMap::new();
    for crd in standing {
        owners.entry(owner(crd, ours, alive)).or_default().push(crd);
    }
    owners.remove(&Owner::Ours);
    let words = owners.iter().map(|(owner, crds)| group(owner, crds)).collect::<Vec<_>>().join("; ");
    let foreign = owners.keys().any(|owner| matches!(owner, Owner::Alive(_)));
    if foreign && intent.ownership == Ownership::Respect {
        let hint = "let the stack take them over with --adopt (no pod restarts, and whoever brought them may change \
                    them back), remove that owner and leave the CRDs, or use another cluster";
        return (Finding::fail(words).hinting(hint), Vec::new());
    }
    let taken = owners.iter().filter_map(|(owner, crds)| match owner {
        Owner::Alive(owner) => Some((owner, crds)),
        Owner::Ours | Owner::Gone(_) => None,
    });
    let taken = taken.map(|(owner, crds)| {
        let object = format!("{} CRDs of the Prometheus operator", crds.len());
        Takeover { object, owner: owner.clone(), ..Takeover::default() }
    });
    (Finding::pass(words), taken.collect())
}

fn owner(crd: &Held, ours: Option<(&str, &str)>, alive: &[ReleaseInfo]) -> Owner {
    let is_alive =
        |place: (&str, &str)| alive.iter().any(|info| (info.name.as_str(), info.namespace.as_str()) == place);
    if crd.is_applied_by_us() || (ours.is_some() && crd.release() == ours) {
        return Owner::Ours;
    }
    if let Some(release) = crd.release() {
        return if is_alive(release) { Owner::Alive(crd.owner()) } else { Owner::Gone(crd.owner()) };
    }
    let by_hand = |manager: &String| HANDS.contains(&manager.as_str()) || manager.starts_with("kubectl-");
    if !crd.managers.iter().all(by_hand) {
        return Owner::Alive(crd.owner());
    }
    let from_chart = crd.managers.iter().any(|manager| HANDS[..2].contains(&manager.as_str()));
    let bringer = alive.iter().find(|info| {
        BRINGERS.contains(&info.chart.as_str()) && Some((info.name.as_str(), info.namespace.as_str())) != ours
    });
    match bringer {
        Some(info) if from_chart => Owner::Alive(format!("release {} in namespace {}", info.name, info.namespace)),
        _ => Owner::Gone(crd.owner()),
    }
}

/// `10 CRDs of release prom in namespace metrics (operator 0.80.0)`
fn group(owner: &Owner, crds: &[&Held]) -> String {
    let versions: BTreeSet<String> =
        crds.iter().filter_map(|crd| crd.annotations.get(OPERATOR_VERSION)).cloned().collect();
    let versions = match versions.into_iter().collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "no version".to_owned(),
        some => format!("operator {some}"),
    };
    let count = crds.len();
    match owner {
        Owner::Alive(owner) => format!("{count} CRDs are of {owner} ({versions})"),
        Owner::Gone(owner) => format!("{count} CRDs of {owner} ({versions}) are taken over"),
        Owner::Ours => format!("{count} CRDs are ours ({versions})"),
    }
}

fn version_of(crd: &Held) -> Option<semver::Version> {
    version(crd.annotations.get(OPERATOR_VERSION).map(String::as_str))
}

fn version(text: Option<&str>) -> Option<semver::Version> {
    semver::Version::parse(text?.trim_start_matches('v')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::preflight::conflicts::fixtures::{held, release, standing};
    use crate::check::row::State;
    use serde_json::{Value, json};

    const NAME: &str = "probes.monitoring.coreos.com";

    fn crd() -> Value {
        let metadata = json!({"name": NAME, "annotations": {OPERATOR_VERSION: "0.86.2"}});
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata})
    }

    /// A live one, and who made it.
    fn live(version: &str, release: Option<(&str, &str)>, managers: &[&str]) -> Held {
        let mut held = held(&crd(), release, managers);
        held.annotations.insert(OPERATOR_VERSION.into(), version.into());
        held
    }

    fn judged(live: Held, alive: &[ReleaseInfo], ownership: Ownership) -> (State, String, usize) {
        let stack = release(KUBE_PROMETHEUS_STACK);
        let crds = [crd()];
        let incoming = PlannedRelease { release: &stack, rendered: &[], hooks: &[], crds: &crds, standing: &[] };
        let intent = Intent { wanted: vec![&stack], incoming: vec![incoming], own: vec![], ownership };
        let (row, taken) = judge(&intent, &[live], alive);
        (row.state, row.detail, taken.len())
    }

    #[test]
    fn newer_ones_are_refused_whoever_they_are() {
        for ownership in [Ownership::Respect, Ownership::Take] {
            let (verdict, detail, _) = judged(live("0.87.0", None, &["tailwatch"]), &[], ownership);
            assert_eq!(verdict, State::Fail);
            assert_eq!(detail, "probes.monitoring.coreos.com is of operator 0.87.0, the chart has 0.86.2");
        }
    }

    #[test]
    fn ours_and_those_no_one_is_left_of_pass() {
        let prom = [standing("prom", "metrics", KUBE_PROMETHEUS_STACK)];
        let ours = Some((KUBE_PROMETHEUS_STACK, "monitoring"));
        for (crd, alive) in [
            (live("0.86.2", None, &["helm", "tailwatch"]), &prom[..]),
            (live("0.80.0", ours, &["helm"]), &[]),
            (live("0.80.0", Some(("prom", "metrics")), &["helm"]), &[]),
            (live("0.80.0", None, &["helm"]), &[]),
            (live("0.80.0", None, &["kubectl-client-side-apply"]), &prom),
        ] {
            let (verdict, detail, taken) = judged(crd.clone(), alive, Ownership::Respect);
            assert_eq!((verdict, taken), (State::Pass, 0), "{crd:?}: {detail}");
        }
        let (_, detail, _) = judged(live("0.80.0", None, &["kubectl-create"]), &[], Ownership::Respect);
        assert_eq!(detail, "1 CRDs of field manager kubectl-create (operator 0.80.0) are taken over");
    }

    #[test]
    fn those_of_someone_who_is_there_are_taken_only_when_asked() {
        let prom = [standing("prom", "metrics", KUBE_PROMETHEUS_STACK)];
        for (crd, owner) in [
            (live("0.80.0", None, &["helm"]), "release prom in namespace metrics"),
            (live("0.80.0", Some(("prom", "metrics")), &["helm"]), "release prom in namespace metrics"),
            (live("0.80.0", None, &["argocd-controller"]), "field manager argocd-controller"),
        ] {
            let (verdict, detail, taken) = judged(crd.clone(), &prom, Ownership::Respect);
            assert_eq!((verdict, taken), (State::Fail, 0));
            assert_eq!(detail, format!("1 CRDs are of {owner} (operator 0.80.0)"));
            let (verdict, _, taken) = judged(crd, &prom, Ownership::Take);
            assert_eq!((verdict, taken), (State::Pass, 1));
        }
    }
}

//! Preflight checks for existing objects that conflict with the stack, and the resulting takeovers.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::preflight::conflicts::{self, Findings, Intent, QueryError, Takeover};
use crate::cluster::Cluster;
use crate::commands::survey::Survey;
use crate::error::Error;
use crate::event::{CheckResult, Verdict};
use crate::helm::{Helm, Ownership};
use crate::plan::{PlanError, Taking};

/// Options of `--adopt`.
pub(super) fn consent(adopt: bool) -> Ownership {
    if adopt { Ownership::Take } else { Ownership::Respect }
}

/// Finds conflicts with the surveyed plan.
pub(super) async fn look(
    cluster: &Cluster,
    helm: &Helm,
    survey: &Survey,
    ownership: Ownership,
) -> Result<Findings, Error> {
    conflicts::run(cluster, helm, &intent(survey, ownership)).await.map_err(|error| match error {
        QueryError::Cluster(source) => Error::Cluster(source),
        QueryError::Helm(source) => {
            PlanError::Helm { what: "cannot list the releases of the cluster".into(), source }.into()
        }
    })
}

/// The same before a change; only for own objects if helm has nothing to do.
pub(super) async fn look_before_a_change(
    cluster: &Cluster,
    helm: &Helm,
    survey: &Survey,
    ownership: Ownership,
) -> Result<Findings, Error> {
    match survey.prepared.releases.is_empty() {
        true => Ok(conflicts::of_own_objects(helm, &intent(survey, ownership)).await),
        false => look(cluster, helm, survey, ownership).await,
    }
}

fn intent(survey: &Survey, ownership: Ownership) -> Intent<'_> {
    let wanted = survey.plan.releases().collect();
    Intent { wanted, incoming: survey.incoming(), own: survey.own(), ownership }
}

/// Adds the takeovers and their notices to the plan. Returns the workloads with pods that a takeover replaces.
pub(super) fn announce(findings: &Findings, survey: &mut Survey) -> Vec<String> {
    // Takeovers are reported below, for each object.
    let is_doubtful = |check: &&CheckResult| check.verdict == Verdict::Warn && check.id != conflicts::OWNERSHIP;
    let doubtful = findings.checks.iter().filter(is_doubtful);
    survey.prepared.notices.extend(doubtful.map(|check| check.detail.clone()));
    let mut restarts = Vec::new();
    for taken in &findings.taken {
        if let Some(uid) = &taken.uid {
            survey.plan.adopt(uid);
        }
        let Some(component) = &taken.component else { continue };
        if let Some(prepared) = survey.prepared.releases.get_mut(component) {
            let standing = || survey.observed.manifests.get(component).cloned().unwrap_or_default();
            let force = prepared.force.get_or_insert_with(|| Taking { agreed: BTreeSet::new(), standing: standing() });
            force.agreed.insert((taken.object.clone(), taken.owner.clone()));
        }
        if taken.restarts {
            let steps = survey.plan.waves.iter_mut().flat_map(|wave| &mut wave.steps);
            for step in steps.filter(|step| step.release.component.as_str() == component) {
                step.effects.restarts.push(taken.object.clone());
            }
            restarts.push(taken.object.clone());
        }
    }
    let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for taken in &findings.taken {
        owners.entry(&taken.owner).or_default().push(&taken.object);
    }
    let notices = &mut survey.prepared.notices;
    notices.extend(owners.iter().map(|(owner, objects)| format!("taken over from {owner}: {}", objects.join(", "))));
    let own = findings.taken.iter().filter(|taken| taken.uid.is_some());
    let own: Vec<&str> = own.map(|taken| taken.object.as_str()).collect();
    if !own.is_empty() {
        notices.push(format!("managed by tailwatch from now on, and removed by uninstall: {}", own.join(", ")));
    }
    let losing = findings.taken.iter().filter(|taken| !taken.loses.is_empty());
    notices.extend(losing.map(|taken| format!("taking over {} removes {}", taken.object, taken.loses.join(", "))));
    notices.extend(restarts.iter().map(|object| format!("taking over {object} replaces its pods")));
    survey.taken.clone_from(&findings.taken);
    restarts
}

/// helm takes ownership for a whole release: an error if the objects are not those that were confirmed.
pub(super) async fn unchanged_since(cluster: &Cluster, survey: &Survey) -> Result<(), Error> {
    let force: BTreeSet<&str> = survey.taken.iter().filter_map(|taken| taken.component.as_deref()).collect();
    if force.is_empty() {
        return Ok(());
    }
    let mut incoming = survey.incoming();
    incoming.retain(|incoming| force.contains(incoming.release.component.as_str()));
    let now = conflicts::takeable(cluster, &incoming).await?;
    for component in force {
        let of_it = |taken: &[Takeover]| -> BTreeSet<(String, String)> {
            let here = taken.iter().filter(|taken| taken.component.as_deref() == Some(component));
            here.map(|taken| (taken.object.clone(), taken.owner.clone())).collect()
        };
        if of_it(&now) != of_it(&survey.taken) {
            return Err(PlanError::Stale { what: format!("what release {component} takes over") }.into());
        }
    }
    Ok(())
}

//! Builds a plan from the desired and the observed state. Pure.

use std::collections::BTreeMap;

use crate::event::{ActionKind, Effects};
use crate::helm::{ReleaseInfo, ReleaseStatus};
use crate::plan::compare::changed_values;
use crate::plan::list::name_some;
use crate::plan::observe::PendingOwner;
use crate::plan::{Drifted, InstalledRelease, Observed, Plan, PlanError, Step, Wave, Work};
use crate::stack::Release;

/// Decides each release's action with its reason, and groups the steps into ascending waves.
pub(super) fn build(desired: Vec<Release>, observed: &Observed) -> Result<Plan, PlanError> {
    let mut waves: Vec<Wave> = Vec::new();
    for release in desired {
        let info = observed.releases.get(release.component.as_str());
        let Decision { action, reason, work, own } = decide(&release, info, observed)?;
        let number = release.wave;
        let last_healthy = observed.healthy.get(release.component.as_str()).cloned();
        let drifted = observed.drift.get(release.component.as_str()).map(|drift| drift.manifest.objects.clone());
        let is_conflicting = |object: &Drifted| object.live.is_some();
        let conflicting_drift = drifted.unwrap_or_default().into_iter().filter(is_conflicting).collect();
        let step = Step {
            release,
            action,
            reason,
            work,
            own,
            from: info.map(|info| observed.installed(info)),
            rendered: None,
            last_healthy,
            no_rollback: None,
            conflicting_drift,
            effects: Effects::default(),
            replacements: Vec::new(),
            uids: BTreeMap::new(),
        };
        match waves.iter_mut().find(|wave| wave.number == number) {
            Some(wave) => wave.steps.push(step),
            None => waves.push(Wave { number, steps: vec![step] }),
        }
    }
    waves.sort_by_key(|wave| wave.number);
    let unmanaged = observed.unmanaged_releases.iter().filter_map(|name| observed.releases.get(name));
    let unmanaged = unmanaged.map(|info| format!("release {} in namespace {}", info.name, info.namespace));
    let reconciled = observed.drift.iter().filter_map(|(name, drift)| {
        let ReleaseInfo { name, namespace, .. } = observed.releases.get(name)?;
        Some(format!("{} reconciles release {name} in namespace {namespace}", drift.reconciler.as_ref()?))
    });
    Ok(Plan { waves, unmanaged: unmanaged.collect(), reconciled: reconciled.collect(), ..Plan::default() })
}

impl From<&ReleaseInfo> for InstalledRelease {
    fn from(info: &ReleaseInfo) -> Self {
        InstalledRelease {
            chart_version: info.chart_version.clone(),
            revision: info.revision,
            status: info.status,
            app_version: info.app_version.clone(),
            values: None,
            manifest: Vec::new(),
        }
    }
}

impl Observed {
    fn installed(&self, info: &ReleaseInfo) -> InstalledRelease {
        InstalledRelease {
            values: self.values.get(&info.name).cloned(),
            manifest: self.manifests.get(&info.name).cloned().unwrap_or_default(),
            ..InstalledRelease::from(info)
        }
    }
}

/// Action for a release, with its reason.
struct Decision {
    action: ActionKind,
    reason: String,
    work: Work,
    own: Vec<Drifted>,
}

impl Decision {
    fn by_helm(action: ActionKind, reason: String) -> Result<Decision, PlanError> {
        Ok(Decision { action, reason, work: Work::Helm, own: Vec::new() })
    }

    fn waiting(action: ActionKind, reason: String) -> Decision {
        Decision { action, reason, work: Work::Wait, own: Vec::new() }
    }
}

fn decide(release: &Release, info: Option<&ReleaseInfo>, observed: &Observed) -> Result<Decision, PlanError> {
    let Some(info) = info else { return Decision::by_helm(ActionKind::Install, "not installed".into()) };
    if info.chart != release.chart.name {
        return Err(PlanError::ForeignRelease {
            release: info.name.clone(),
            namespace: info.namespace.clone(),
            found: info.chart.clone(),
            expected: release.chart.name.clone(),
        });
    }
    if let Some(PendingOwner::ByOther { since }) = observed.pending.get(&info.name) {
        return Err(PlanError::PendingOperation {
            release: info.name.clone(),
            namespace: info.namespace.clone(),
            status: info.status.words(),
            since: since.clone(),
        });
    }
    if info.chart_version > release.chart.version {
        return Err(PlanError::Downgrade {
            component: release.component.to_string(),
            installed: info.chart_version.clone(),
            requested: release.chart.version.clone(),
        });
    }
    if let Some(state) = broken_state(info.status) {
        return Decision::by_helm(ActionKind::Repair, format!("revision {} is {state}", info.revision));
    }
    if info.chart_version != release.chart.version {
        let reason = format!("chart {} -> {}", info.chart_version, release.chart.version);
        return Decision::by_helm(ActionKind::Upgrade, reason);
    }
    let installed = observed.values.get(&info.name).unwrap_or(&serde_json::Value::Null);
    let changed = changed_values(installed, release);
    if !changed.is_empty() {
        return Decision::by_helm(ActionKind::Upgrade, format!("values changed: {}", name_some(&changed)));
    }
    Ok(decide_as_desired(info, observed))
}

/// Chart and values are as desired; helm has work only if a kind is not served.
fn decide_as_desired(info: &ReleaseInfo, observed: &Observed) -> Decision {
    let drift = observed.drift.get(&info.name).cloned().unwrap_or_default();
    let reasons = [drift.manifest.reasons, drift.own.reasons].concat();
    if !reasons.is_empty() {
        let (action, reason) = (ActionKind::Repair, name_some(&reasons));
        if drift.manifest.kinds_missing {
            return Decision { action, reason, work: Work::Helm, own: Vec::new() };
        }
        let work = Work::Objects { release: drift.manifest.objects };
        return Decision { action, reason, work, own: drift.own.objects };
    }
    if observed.healthy.get(&info.name).map(|healthy| healthy.revision) != Some(info.revision) {
        let reason = format!("revision {} was not verified as ready", info.revision);
        return Decision::waiting(ActionKind::Repair, reason);
    }
    let reason = format!("up to date with chart {}", info.chart_version);
    Decision::waiting(ActionKind::Unchanged, reason)
}

fn broken_state(status: ReleaseStatus) -> Option<String> {
    match status {
        ReleaseStatus::Deployed => None,
        ReleaseStatus::Failed => Some("failed".into()),
        ReleaseStatus::Other => Some("in a state that helm does not call deployed".into()),
        under_way => Some(format!("{}: an earlier run was interrupted", under_way.words())),
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::Healthy;
    use crate::plan::decide::*;
    use crate::plan::drift::{Drift, ReleaseDrift};
    use serde_json::json;

    fn release(version: &str) -> Release {
        Release { wave: 32, values: json!({"a": 1}), ..Release::for_tests("loki", version) }
    }

    fn observed(version: &str, status: ReleaseStatus) -> Observed {
        let info = ReleaseInfo {
            name: "loki".into(),
            namespace: "monitoring".into(),
            revision: 2,
            status,
            chart: "loki".into(),
            chart_version: version.parse().unwrap(),
            app_version: String::new(),
        };
        let mut observed = Observed::default();
        observed.releases.insert("loki".into(), info);
        observed.values.insert("loki".into(), json!({"a": 1}));
        observed.healthy.insert("loki".into(), Healthy::read("2").unwrap());
        observed
    }

    fn drift(reason: &str) -> ReleaseDrift {
        let manifest = Drift { reasons: vec![reason.into()], ..Drift::default() };
        ReleaseDrift { manifest, ..ReleaseDrift::default() }
    }

    fn decision(observed: &Observed, version: &str) -> (ActionKind, String) {
        let plan = build(vec![release(version)], observed).unwrap();
        let step = &plan.waves[0].steps[0];
        (step.action, step.reason.clone())
    }

    #[test]
    fn each_state_has_its_action_and_reason() {
        assert_eq!(decision(&Observed::default(), "1.0.0"), (ActionKind::Install, "not installed".into()));
        let deployed = observed("1.0.0", ReleaseStatus::Deployed);
        assert_eq!(decision(&deployed, "1.0.0").0, ActionKind::Unchanged);
        assert_eq!(decision(&deployed, "1.1.0"), (ActionKind::Upgrade, "chart 1.0.0 -> 1.1.0".into()));
        for status in [ReleaseStatus::Failed, ReleaseStatus::PendingInstall, ReleaseStatus::PendingUpgrade] {
            assert_eq!(decision(&observed("1.0.0", status), "1.0.0").0, ActionKind::Repair);
        }
    }

    #[test]
    fn changed_values_and_drift_are_reported() {
        let mut deployed = observed("1.0.0", ReleaseStatus::Deployed);
        deployed.values.insert("loki".into(), json!({"a": 2}));
        assert_eq!(decision(&deployed, "1.0.0"), (ActionKind::Upgrade, "values changed: a".into()));
        deployed.values.insert("loki".into(), json!({"a": 1}));
        deployed.drift.insert("loki".into(), drift("Ingress grafana is missing"));
        assert_eq!(decision(&deployed, "1.0.0"), (ActionKind::Repair, "Ingress grafana is missing".into()));
    }

    #[test]
    fn helm_is_not_run_where_it_has_nothing_to_do() {
        let work = |observed: &Observed| {
            let plan = build(vec![release("1.0.0")], observed).unwrap();
            (plan.waves[0].steps[0].action, plan.waves[0].steps[0].work.clone())
        };
        let mut installed = observed("1.0.0", ReleaseStatus::Deployed);
        assert!(matches!(work(&installed), (ActionKind::Unchanged, Work::Wait)));
        installed.healthy.insert("loki".into(), Healthy::read("1").unwrap());
        assert!(
            matches!(work(&installed), (ActionKind::Repair, Work::Wait)),
            "an earlier run ended before the release was ready"
        );
        installed.drift.insert("loki".into(), drift("Service loki is missing"));
        assert!(matches!(work(&installed), (ActionKind::Repair, Work::Objects { .. })));
        installed.drift.get_mut("loki").unwrap().manifest.kinds_missing = true;
        assert!(matches!(work(&installed), (ActionKind::Repair, Work::Helm)), "CRDs come with the chart");
    }

    #[test]
    fn an_operation_of_another_owner_is_left_alone() {
        let mut pending = observed("1.0.0", ReleaseStatus::PendingUpgrade);
        pending.pending.insert("loki".into(), PendingOwner::ByOther { since: "then".into() });
        assert!(matches!(build(vec![release("1.0.0")], &pending), Err(PlanError::PendingOperation { .. })));
        pending.pending.insert("loki".into(), PendingOwner::ByUs);
        assert_eq!(decision(&pending, "1.0.0").0, ActionKind::Repair);
    }

    #[test]
    fn downgrades_and_foreign_charts_are_rejected() {
        let newer = observed("2.0.0", ReleaseStatus::Deployed);
        assert!(matches!(build(vec![release("1.0.0")], &newer), Err(PlanError::Downgrade { .. })));
        let mut foreign = observed("1.0.0", ReleaseStatus::Deployed);
        foreign.releases.get_mut("loki").unwrap().chart = "loki-stack".into();
        assert!(matches!(build(vec![release("1.0.0")], &foreign), Err(PlanError::ForeignRelease { .. })));
    }

    #[test]
    fn waves_ascend_and_keep_their_steps() {
        let mut early = release("1.0.0");
        early.wave = 30;
        early.component = "alloy".parse().unwrap();
        let plan = build(vec![release("1.0.0"), early], &Observed::default()).unwrap();
        let numbers: Vec<u8> = plan.waves.iter().map(|wave| wave.number).collect();
        assert_eq!(numbers, [30, 32]);
        assert!(plan.has_changes());
    }
}

//! From wanted and observed to a plan. Pure.

use crate::event::{ActionKind, Effects};
use crate::helm::{ReleaseInfo, ReleaseStatus};
use crate::plan::difference::changed_paths;
use crate::plan::{Observed, Plan, PlanError, Standing, Step, Wave};
use crate::stack::Release;

/// How many changed value paths a reason names before it counts the rest.
const NAMED_PATHS: usize = 3;

/// Decides each release's action with its reason, and groups the steps into ascending waves.
pub fn build(wanted: Vec<Release>, observed: &Observed) -> Result<Plan, PlanError> {
    let mut waves: Vec<Wave> = Vec::new();
    for release in wanted {
        let info = observed.releases.get(release.component.as_str());
        let (action, reason) = decide(&release, info, observed)?;
        let number = release.wave;
        let step = Step { release, action, reason, from: info.map(Standing::from), effects: Effects::default() };
        match waves.iter_mut().find(|wave| wave.number == number) {
            Some(wave) => wave.steps.push(step),
            None => waves.push(Wave { number, steps: vec![step] }),
        }
    }
    waves.sort_by_key(|wave| wave.number);
    Ok(Plan { waves, removals: Vec::new() })
}

impl From<&ReleaseInfo> for Standing {
    fn from(info: &ReleaseInfo) -> Self {
        Standing { chart_version: info.chart_version.clone(), revision: info.revision, status: info.status }
    }
}

fn decide(
    release: &Release,
    info: Option<&ReleaseInfo>,
    observed: &Observed,
) -> Result<(ActionKind, String), PlanError> {
    let Some(info) = info else { return Ok((ActionKind::Install, "not installed".into())) };
    if info.chart != release.chart.name {
        return Err(PlanError::ForeignRelease {
            release: info.name.clone(),
            namespace: info.namespace.clone(),
            found: info.chart.clone(),
            expected: release.chart.name.clone(),
        });
    }
    if info.chart_version > release.chart.version {
        return Err(PlanError::Downgrade {
            component: release.component.to_string(),
            installed: info.chart_version.clone(),
            asked: release.chart.version.clone(),
        });
    }
    if let Some(state) = broken_state(info.status) {
        return Ok((ActionKind::Repair, format!("revision {} is {state}", info.revision)));
    }
    if info.chart_version != release.chart.version {
        return Ok((ActionKind::Upgrade, format!("chart {} -> {}", info.chart_version, release.chart.version)));
    }
    let standing = observed.values.get(&info.name).unwrap_or(&serde_json::Value::Null);
    let changed = changed_paths(standing, &release.values);
    if !changed.is_empty() {
        return Ok((ActionKind::Upgrade, format!("values changed: {}", name_some(&changed))));
    }
    match observed.drift.get(&info.name).map(Vec::as_slice) {
        Some(drift @ [_, ..]) => Ok((ActionKind::Repair, name_some(drift))),
        _ => Ok((ActionKind::Unchanged, format!("chart {} stands with these values", info.chart_version))),
    }
}

fn broken_state(status: ReleaseStatus) -> Option<&'static str> {
    match status {
        ReleaseStatus::Deployed => None,
        ReleaseStatus::Failed => Some("failed"),
        ReleaseStatus::PendingInstall => Some("pending-install: an earlier run was interrupted"),
        ReleaseStatus::PendingUpgrade => Some("pending-upgrade: an earlier run was interrupted"),
        ReleaseStatus::PendingRollback => Some("pending-rollback: an earlier run was interrupted"),
        ReleaseStatus::Uninstalling => Some("uninstalling: an earlier removal was interrupted"),
        ReleaseStatus::Other => Some("in a state that helm does not call deployed"),
    }
}

/// The first of them, and how many more there are.
pub(super) fn name_some(items: &[String]) -> String {
    let named = items.iter().take(NAMED_PATHS).map(String::as_str).collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(NAMED_PATHS) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::{ChartSource, CrdPolicy};
    use serde_json::json;

    fn release(version: &str) -> Release {
        Release {
            component: "loki".parse().unwrap(),
            title: "Loki".into(),
            wave: 32,
            namespace: "monitoring".into(),
            chart: ChartSource {
                name: "loki".into(),
                repository: "https://charts.example".parse().unwrap(),
                version: version.parse().unwrap(),
                digest: None,
            },
            values: json!({"a": 1}),
            crds: CrdPolicy::None,
            api_versions: vec![],
            wait_for: vec![],
            objects: vec![],
            docs: String::new(),
            expect: Default::default(),
        }
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
        observed
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
    fn changed_values_and_drift_are_named() {
        let mut deployed = observed("1.0.0", ReleaseStatus::Deployed);
        deployed.values.insert("loki".into(), json!({"a": 2}));
        assert_eq!(decision(&deployed, "1.0.0"), (ActionKind::Upgrade, "values changed: a".into()));
        deployed.values.insert("loki".into(), json!({"a": 1}));
        deployed.drift.insert("loki".into(), vec!["Ingress grafana is missing".into()]);
        assert_eq!(decision(&deployed, "1.0.0"), (ActionKind::Repair, "Ingress grafana is missing".into()));
    }

    #[test]
    fn downgrades_and_foreign_charts_are_refused() {
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

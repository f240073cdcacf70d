//! Releases of the same charts, under other names or in other namespaces.

use crate::check::preflight::conflicts::intent::is_ours;
use crate::check::row::Finding;
use crate::helm::ReleaseInfo;
use crate::stack::Release;

/// `release-conflict`
pub(super) fn judge(desired: &[&Release], installed: &[ReleaseInfo]) -> Finding {
    let of_chart = |info: &ReleaseInfo| desired.iter().find(|release| release.chart.name == info.chart);
    let foreign: Vec<(&ReleaseInfo, Option<&str>)> = installed
        .iter()
        .filter(|info| !is_ours(desired, info))
        .filter_map(|info| Some((info, of_chart(info)?.rules().interference)))
        .collect();
    let reported = |(info, interference): &(&ReleaseInfo, Option<&str>)| {
        format!(
            "release {} in namespace {} is of chart {} {}{}",
            info.name,
            info.namespace,
            info.chart,
            info.chart_version,
            interference.map(|text| format!(": {text}")).unwrap_or_default()
        )
    };
    let detail = foreign.iter().map(reported).collect::<Vec<_>>().join("; ");
    match foreign.iter().find(|(_, interference)| interference.is_some()) {
        None => Finding::pass(detail),
        Some((info, _)) => Finding::warn(detail).hinting(format!(
            "remove it with `helm uninstall {} -n {}`, check that the two do not interfere, or use another cluster",
            info.name, info.namespace
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::preflight::conflicts::fixtures::{installed_release, release};
    use crate::check::row::State;

    #[test]
    fn another_release_of_a_chart_is_reported_with_its_interference() {
        let (stack, loki) = (release("kube-prometheus-stack"), release("loki"));
        let desired = [&stack, &loki];
        let ours = installed_release("loki", "monitoring", "loki");
        let judged = |more: ReleaseInfo| judge(&desired, &[ours.clone(), installed_release("web", "x", "nginx"), more]);
        let harmless = judged(installed_release("logs", "other", "loki"));
        assert_eq!(harmless.state, State::Pass);
        assert_eq!(harmless.detail, "release logs in namespace other is of chart loki 70.1.0");
        let interferes = judged(installed_release("kube-prometheus-stack", "other", "kube-prometheus-stack"));
        assert_eq!(interferes.state, State::Warn);
        assert!(interferes.detail.contains("port 9100"), "{}", interferes.detail);
        assert!(interferes.hint.unwrap().contains("helm uninstall kube-prometheus-stack -n other"));
        let own = judged(installed_release("kube-prometheus-stack", "monitoring", "kube-prometheus-stack"));
        assert_eq!((own.state, own.detail.as_str()), (State::Pass, ""));
    }
}

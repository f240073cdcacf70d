//! Releases of the same charts, under other names or in other namespaces.

use crate::check::preflight::conflicts::intent::is_ours;
use crate::check::row::Finding;
use crate::config::{ALLOY, KUBE_PROMETHEUS_STACK, TAILSCALE_OPERATOR};
use crate::helm::ReleaseInfo;
use crate::stack::Release;

/// What two releases of a chart in one cluster do to each other, where they do anything.
const CONSEQUENCES: [(&str, &str); 3] = [
    (
        KUBE_PROMETHEUS_STACK,
        "both put a node-exporter on port 9100 of every node, and each one's operator works on the other's Prometheus",
    ),
    (ALLOY, "both read the log of every pod"),
    (TAILSCALE_OPERATOR, "both serve the IngressClass tailscale"),
];

/// `release-conflict`
pub(super) fn judge(wanted: &[&Release], alive: &[ReleaseInfo]) -> Finding {
    let of_our_charts = |info: &&ReleaseInfo| wanted.iter().any(|release| release.chart.name == info.chart);
    let foreign: Vec<&ReleaseInfo> = alive.iter().filter(of_our_charts).filter(|info| !is_ours(wanted, info)).collect();
    let reported = |info: &&ReleaseInfo| {
        let meets = CONSEQUENCES.iter().find(|(chart, _)| *chart == info.chart);
        format!(
            "release {} in namespace {} is of chart {} {}{}",
            info.name,
            info.namespace,
            info.chart,
            info.chart_version,
            meets.map(|(_, words)| format!(": {words}")).unwrap_or_default()
        )
    };
    let meets = foreign.iter().find(|info| CONSEQUENCES.iter().any(|(chart, _)| *chart == info.chart));
    let detail = foreign.iter().map(reported).collect::<Vec<_>>().join("; ");
    match meets {
        None => Finding::pass(detail),
        Some(info) => Finding::warn(detail).hinting(format!(
            "remove it with `helm uninstall {} -n {}`, or see that the two do not meet, or use another cluster",
            info.name, info.namespace
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::preflight::conflicts::fixtures::{release, standing};
    use crate::check::row::State;

    #[test]
    fn another_release_of_a_chart_is_reported_with_what_it_does_to_ours() {
        let (stack, loki) = (release("kube-prometheus-stack"), release("loki"));
        let wanted = [&stack, &loki];
        let ours = standing("loki", "monitoring", "loki");
        let judged = |more: ReleaseInfo| judge(&wanted, &[ours.clone(), standing("web", "x", "nginx"), more]);
        let harmless = judged(standing("logs", "other", "loki"));
        assert_eq!(harmless.state, State::Pass);
        assert_eq!(harmless.detail, "release logs in namespace other is of chart loki 70.1.0");
        let meets = judged(standing("kube-prometheus-stack", "other", "kube-prometheus-stack"));
        assert_eq!(meets.state, State::Warn);
        assert!(meets.detail.contains("port 9100"), "{}", meets.detail);
        assert!(meets.hint.unwrap().contains("helm uninstall kube-prometheus-stack -n other"));
        let own = judged(standing("kube-prometheus-stack", "monitoring", "kube-prometheus-stack"));
        assert_eq!((own.state, own.detail.as_str()), (State::Pass, ""));
    }
}

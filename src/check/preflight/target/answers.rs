//! Answers with which the API server accepts the stack, by the objects that it rejects. Pure.

/// Objects that the answers can leave out: kind, end of the name, the answer.
const SWITCHES: [(&str, &str, &str); 9] = [
    (
        "Service",
        "-kubelet, which the Prometheus operator creates",
        "values.kube-prometheus-stack.prometheusOperator.kubeletService.enabled: false",
    ),
    ("DaemonSet", "node-exporter", "values.kube-prometheus-stack.nodeExporter.enabled: false"),
    ("Service", "-coredns", "values.kube-prometheus-stack.coreDns.enabled: false"),
    ("Service", "-kube-dns", "values.kube-prometheus-stack.kubeDns.enabled: false"),
    ("Service", "-kube-controller-manager", "values.kube-prometheus-stack.kubeControllerManager.enabled: false"),
    ("Service", "-kube-scheduler", "values.kube-prometheus-stack.kubeScheduler.enabled: false"),
    ("Service", "-kube-etcd", "values.kube-prometheus-stack.kubeEtcd.enabled: false"),
    ("Service", "-kube-proxy", "values.kube-prometheus-stack.kubeProxy.enabled: false"),
    ("DaemonSet", "/alloy", "logs: none"),
];
/// Answers for GKE Autopilot, which allows no object in kube-system, no host namespace and no volume of the node but
/// /var/log (cloud.google.com/kubernetes-engine/docs/concepts/autopilot-security).
const AUTOPILOT: [&str; 8] = [
    "values.kube-prometheus-stack.nodeExporter.enabled: false",
    "values.kube-prometheus-stack.kubelet.enabled: false",
    "values.kube-prometheus-stack.prometheusOperator.kubeletService.enabled: false",
    "values.kube-prometheus-stack.coreDns.enabled: false",
    "values.kube-prometheus-stack.kubeDns.enabled: false",
    "values.kube-prometheus-stack.kubeControllerManager.enabled: false",
    "values.kube-prometheus-stack.kubeScheduler.enabled: false",
    "values.kube-prometheus-stack.kubeProxy.enabled: false",
];
/// The positions in the logs are then lost with each pod of Alloy, and read again.
const AUTOPILOT_ALLOY: &str = "values.alloy.controller.volumes.extra: [{ name: state, emptyDir: {} }]";

/// The answers that leave these objects out.
pub(super) fn without(objects: &[&str]) -> Option<String> {
    let switches = SWITCHES.iter().filter(|(kind, end, _)| {
        objects.iter().any(|object| object.contains(&format!("{kind} ")) && object.ends_with(end))
    });
    let switches: Vec<&str> = switches.map(|(_, _, answer)| *answer).collect();
    (!switches.is_empty())
        .then(|| format!("to install the stack without these objects, set {} in the answers", switches.join(", ")))
}

/// The answers for GKE Autopilot, which rejected these objects.
pub(super) fn for_autopilot(objects: &[&str]) -> String {
    let alloy = objects.iter().any(|object| object.ends_with("/alloy")).then_some(AUTOPILOT_ALLOY);
    let answers: Vec<&str> = AUTOPILOT.into_iter().chain(alloy).collect();
    format!("for GKE Autopilot, set {} in the answers", answers.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_those_of_the_rejected_objects() {
        let found = without(&["Service kube-system/a-coredns", "the pods of DaemonSet monitoring/alloy"]).unwrap();
        assert!(found.contains("coreDns.enabled: false") && found.contains("logs: none"), "{found}");
        assert!(!found.contains("nodeExporter"), "{found}");
        assert_eq!(without(&["Service monitoring/loki"]), None);
        let kubelet = without(&["Service kube-system/a-kubelet, which the Prometheus operator creates"]);
        assert!(kubelet.unwrap().contains("kubeletService"));
    }

    #[test]
    fn autopilot_needs_all_answers_and_those_of_alloy_where_it_was_rejected() {
        let found = for_autopilot(&["DaemonSet monitoring/a-node-exporter"]);
        assert!(AUTOPILOT.iter().all(|answer| found.contains(answer)) && !found.contains(AUTOPILOT_ALLOY));
        assert!(for_autopilot(&["DaemonSet monitoring/alloy"]).contains(AUTOPILOT_ALLOY));
    }
}

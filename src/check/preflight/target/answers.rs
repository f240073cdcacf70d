//! Answers with which the API server accepts the stack, by the objects that it rejects. Pure.

use serde_json::Value;

use crate::check::name_of;
use crate::stack::{ComponentRules, Omission};

/// An object of a component; for a pod its workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    component: String,
    kind: String,
    name: String,
}

impl Part {
    pub(super) fn of(component: &str, object: &Value) -> Part {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        Part { component: component.to_owned(), kind, name: name_of(object).to_owned() }
    }

    fn is_left_out_by(&self, component: &str, omission: &Omission) -> bool {
        self.component == component && self.kind == omission.kind && self.name.ends_with(omission.name_end)
    }
}

/// The answers that leave these objects out.
pub(super) fn without(objects: &[&Part]) -> Option<String> {
    let is_rejected = |(component, omission): &(&str, &Omission)| {
        objects.iter().any(|object| object.is_left_out_by(component, omission))
    };
    let answers: Vec<&str> =
        ComponentRules::omissions().filter(is_rejected).map(|(_, omission)| omission.answer).collect();
    (!answers.is_empty())
        .then(|| format!("to install the stack without these objects, set {} in the answers", answers.join(", ")))
}

/// The answers for GKE Autopilot, which rejected these objects.
pub(super) fn for_autopilot(objects: &[&Part]) -> String {
    let answers: Vec<&str> = ComponentRules::omissions()
        .filter_map(|(component, omission)| match omission.if_rejected_by_autopilot {
            None => Some(omission.answer),
            Some(answer) => objects.iter().any(|object| object.is_left_out_by(component, omission)).then_some(answer),
        })
        .collect();
    format!("for GKE Autopilot, set {} in the answers", answers.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ALLOY, KUBE_PROMETHEUS_STACK};

    fn part(component: &str, kind: &str, name: &str) -> Part {
        Part { component: component.into(), kind: kind.into(), name: name.into() }
    }

    #[test]
    fn the_answers_are_those_of_the_rejected_objects() {
        let (dns, alloy) = (part(KUBE_PROMETHEUS_STACK, "Service", "a-coredns"), part(ALLOY, "DaemonSet", "logs"));
        let found = without(&[&dns, &alloy]).unwrap();
        assert!(found.contains("coreDns.enabled: false") && found.contains("logs: none"), "{found}");
        assert!(!found.contains("nodeExporter"), "{found}");
        assert_eq!(without(&[&part("loki", "Service", "loki"), &part("loki", "Service", "x-coredns")]), None);
        let kubelet = without(&[&part(KUBE_PROMETHEUS_STACK, "Service", "a-kubelet")]).unwrap();
        assert!(kubelet.contains("kubeletService") && !kubelet.contains("stack.kubelet.enabled"), "{kubelet}");
    }

    #[test]
    fn autopilot_needs_all_answers_and_those_of_alloy_where_it_was_rejected() {
        let found = for_autopilot(&[&part(KUBE_PROMETHEUS_STACK, "DaemonSet", "a-node-exporter")]);
        let (always, if_rejected): (Vec<&Omission>, Vec<&Omission>) = ComponentRules::omissions()
            .map(|(_, omission)| omission)
            .partition(|omission| omission.if_rejected_by_autopilot.is_none());
        assert!(always.iter().all(|omission| found.contains(omission.answer)), "{found}");
        let of_alloy = if_rejected[0].if_rejected_by_autopilot.unwrap();
        assert!(!found.contains(of_alloy), "{found}");
        assert!(for_autopilot(&[&part(ALLOY, "DaemonSet", "alloy")]).contains(of_alloy));
    }
}

//! Workloads that the values put into another namespace than that of their release: the NetworkPolicies, Secrets and
//! addresses of the stack are for the release's namespace.

use serde_json::Value;

use crate::check::preflight::target::intent::Intent;
use crate::check::row::Finding;
use crate::check::{name_of, some_of};
use crate::cluster::namespace_of;
use crate::stack::Release;

const WORKLOADS: [&str; 5] = ["Deployment", "DaemonSet", "StatefulSet", "Prometheus", "Alertmanager"];

/// A workload outside of its release's namespace.
#[derive(Debug)]
pub(super) struct Elsewhere {
    /// `Deployment NAMESPACE/NAME`
    workload: String,
    /// Namespace of its release.
    expected: String,
    /// The value that names its namespace, `values.COMPONENT.KEY`.
    key: Option<String>,
}

pub(super) fn find(intent: &Intent<'_>) -> Vec<Elsewhere> {
    intent.stack.iter().flat_map(|(release, objects)| of_release(release, objects)).collect()
}

fn of_release(release: &Release, objects: &[Value]) -> Vec<Elsewhere> {
    let workloads = objects.iter().filter_map(|object| {
        let kind = object["kind"].as_str().filter(|kind| WORKLOADS.contains(kind))?;
        let namespace = namespace_of(object, &release.namespace);
        (namespace != release.namespace).then(|| Elsewhere {
            workload: format!("{kind} {namespace}/{}", name_of(object)),
            expected: release.namespace.clone(),
            key: override_of(&release.values, namespace).map(|key| format!("values.{}.{key}", release.component)),
        })
    });
    workloads.collect()
}

/// The key `namespaceOverride` with this namespace.
fn override_of(values: &Value, namespace: &str) -> Option<String> {
    values.as_object()?.iter().find_map(|(key, value)| match value {
        Value::String(name) => (key == "namespaceOverride" && name == namespace).then(|| key.clone()),
        _ => override_of(value, namespace).map(|below| format!("{key}.{below}")),
    })
}

/// `workload-namespaces`
pub(super) fn judge(found: &[Elsewhere]) -> Finding {
    let Some(first) = found.first() else { return Finding::pass("") };
    let detail = found.iter().map(|Elsewhere { workload, expected, key }| {
        let by = key.as_ref().map(|key| format!(" by {key}")).unwrap_or_default();
        format!("{workload} is not in namespace {expected}{by}")
    });
    let finding = Finding::fail(some_of(&detail.collect::<Vec<_>>()));
    match &first.key {
        Some(key) => {
            finding.hinting(format!("remove {key} from the answers; the answer namespace moves the whole stack"))
        }
        None => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;
    use serde_json::json;

    #[test]
    fn a_workload_in_another_namespace_fails_with_the_value_that_puts_it_there() {
        let object =
            |kind: &str, namespace: &str| json!({"kind": kind, "metadata": {"name": "x", "namespace": namespace}});
        let mut release = Release::for_tests("kube-prometheus-stack", "1.0.0");
        release.values = json!({"grafana": {"namespaceOverride": "boards"}, "namespaceOverride": ""});
        let judged = |objects: &[Value]| judge(&of_release(&release, objects));
        // The Services for the control plane.
        assert_eq!(judged(&[object("Service", "kube-system"), object("Deployment", "monitoring")]).state, State::Pass);
        assert_eq!(judged(&[json!({"kind": "DaemonSet", "metadata": {"name": "x"}})]).state, State::Pass);
        let found = judged(&[object("Deployment", "boards")]);
        let key = "values.kube-prometheus-stack.grafana.namespaceOverride";
        assert_eq!(found.detail, format!("Deployment boards/x is not in namespace monitoring by {key}"));
        assert!(found.state == State::Fail && found.hint.unwrap().contains(key));
        assert_eq!(judged(&[object("StatefulSet", "b")]).state, State::Fail);
    }
}

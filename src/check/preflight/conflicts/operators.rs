//! Other Prometheus operators. Two that watch the same namespaces overwrite each other's objects.

use serde_json::Value;

use crate::check::preflight::conflicts::intent::{release_key, release_of};
use crate::check::row::Finding;
use crate::cluster::{ManagedObject, prometheus_operator};
use crate::config::KUBE_PROMETHEUS_STACK;
use crate::stack::Release;

/// A Deployment that runs the operator.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    managed: ManagedObject,
    arguments: Vec<String>,
}

impl Operator {
    /// Of a Deployment that runs the operator.
    pub(super) fn of(deployment: &Value) -> Option<Operator> {
        Some(Operator { managed: ManagedObject::of(deployment), arguments: arguments(deployment)? })
    }
}

fn arguments(deployment: &Value) -> Option<Vec<String>> {
    let container = prometheus_operator(deployment)?;
    let words = ["command", "args"].into_iter().filter_map(|key| container[key].as_array()).flatten();
    Some(words.filter_map(Value::as_str).map(str::to_owned).collect())
}

/// Flags with the namespaces of the resources that an operator creates StatefulSets for (prometheus-operator
/// cmd/operator/main.go).
const INSTANCES: [&str; 2] = ["prometheus-instance-namespaces", "alertmanager-instance-namespaces"];

/// The namespaces of a flag, as `--flag=a,b` or as two arguments; empty without the flag.
fn namespaces<'a>(arguments: &'a [String], flag: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (index, word) in arguments.iter().enumerate() {
        let Some(rest) = word.trim_start_matches('-').strip_prefix(flag) else { continue };
        let value = match rest.strip_prefix('=') {
            Some(value) => value,
            None if rest.is_empty() => arguments.get(index + 1).map(String::as_str).unwrap_or_default(),
            None => continue,
        };
        found.extend(value.split(',').map(str::trim).filter(|name| !name.is_empty()));
    }
    found
}

/// Whether an operator with these arguments does not watch a namespace.
fn excludes(arguments: &[String], namespace: &str) -> bool {
    let is_outside = |flag: &str| {
        let only = namespaces(arguments, flag);
        !only.is_empty() && !only.contains(&namespace)
    };
    namespaces(arguments, "deny-namespaces").contains(&namespace)
        || is_outside("namespaces")
        || INSTANCES.into_iter().all(is_outside)
}

/// `prometheus-operator-conflict`
pub(super) fn judge(desired: &[&Release], operators: &[Operator]) -> Finding {
    let Some(ours) = release_of(desired, KUBE_PROMETHEUS_STACK) else { return Finding::pass("") };
    let foreign: Vec<&Operator> =
        operators.iter().filter(|operator| operator.managed.release() != Some(release_key(ours))).collect();
    let describe = |operator: &&Operator| {
        let ManagedObject { object, .. } = &operator.managed;
        let namespace = object.namespace.as_deref().unwrap_or_default();
        format!("Deployment {} in namespace {namespace} ({})", object.name, operator.managed.owner())
    };
    let listed = |operators: &[&Operator]| operators.iter().map(describe).collect::<Vec<_>>().join("; ");
    let watching: Vec<&Operator> =
        foreign.iter().copied().filter(|operator| !excludes(&operator.arguments, &ours.namespace)).collect();
    if !watching.is_empty() {
        let hint = format!(
            "give it --deny-namespaces={0}, or --namespaces without {0} (in its chart: \
             prometheusOperator.denyNamespaces), or remove it, or use another cluster",
            ours.namespace
        );
        let detail = format!("{}: also watches namespace {}", listed(&watching), ours.namespace);
        return Finding::fail(detail).hinting(hint);
    }
    if foreign.is_empty() {
        return Finding::pass("");
    }
    let denied = ours.values.pointer("/prometheusOperator/denyNamespaces").and_then(Value::as_array);
    let is_denied = |operator: &&Operator| {
        let namespace = operator.managed.object.namespace.as_deref().unwrap_or_default();
        denied.is_some_and(|denied| denied.iter().any(|name| name == namespace))
    };
    if foreign.iter().all(is_denied) {
        return Finding::pass(format!("{}: each watches its own namespaces only", listed(&foreign)));
    }
    let detail = format!(
        "{}: does not watch namespace {}, but the operator of the stack watches all others",
        listed(&foreign),
        ours.namespace
    );
    let hint = "list its namespaces in values.kube-prometheus-stack.prometheusOperator.denyNamespaces";
    Finding::warn(detail).hinting(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::preflight::conflicts::fixtures::{managed, release};
    use crate::check::row::State;
    use serde_json::json;

    fn operator(namespace: &str, release: Option<(&str, &str)>, arguments: &[&str]) -> Operator {
        let metadata = json!({"name": "prom-operator", "namespace": namespace});
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata});
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        Operator { managed: managed(&object, release, &["helm"]), arguments }
    }

    fn judged(operator: Operator) -> (State, String) {
        let mut stack = release(KUBE_PROMETHEUS_STACK);
        stack.values = json!({"prometheusOperator": {"denyNamespaces": ["apart"]}});
        let row = judge(&[&stack], &[operator]);
        assert_eq!(row.hint.is_some(), row.state != State::Pass);
        (row.state, row.detail)
    }

    #[test]
    fn another_operator_fails_unless_it_excludes_our_namespace() {
        let prom = Some(("prom", "metrics"));
        for arguments in [
            &[][..],
            &["--namespaces=a,monitoring"],
            &["--namespaces", "monitoring"],
            &["--namespaces="],
            &["--prometheus-instance-namespaces=metrics"],
        ] {
            let (verdict, detail) = judged(operator("metrics", prom, arguments));
            assert_eq!(verdict, State::Fail, "{arguments:?}");
            assert!(
                detail.contains("prom-operator in namespace metrics (release prom in namespace metrics)"),
                "{detail}"
            );
        }
        for arguments in [
            &["--namespaces=metrics"][..],
            &["-deny-namespaces", "monitoring"],
            &["--prometheus-instance-namespaces=metrics", "--alertmanager-instance-namespaces=metrics"],
        ] {
            assert_eq!(judged(operator("metrics", prom, arguments)).0, State::Warn, "{arguments:?}");
            assert_eq!(judged(operator("apart", prom, arguments)).0, State::Pass, "{arguments:?}");
        }
        assert_eq!(judged(operator("monitoring", Some((KUBE_PROMETHEUS_STACK, "monitoring")), &[])).0, State::Pass);
    }

    #[test]
    fn it_is_identified_by_its_image_or_its_own_option() {
        let arguments_of = |image: &str| {
            let containers = json!([{"image": "x/y"}, {"image": image, "args": ["--a", "b"]}]);
            arguments(&json!({"spec": {"template": {"spec": {"containers": containers}}}}))
        };
        for image in [
            "quay.io/prometheus-operator/prometheus-operator:v0.86.2",
            "mirror:5000/prometheus-operator",
            "mirror/prometheus-operator:v1@sha256:00",
            "rancher/mirrored-prometheus-operator-prometheus-operator:v0.80.1",
        ] {
            assert_eq!(arguments_of(image).unwrap(), ["--a", "b"], "{image}");
        }
        assert_eq!(arguments_of("quay.io/prometheus-operator/prometheus-config-reloader:v1"), None);
        let option = "--prometheus-config-reloader=mirror/reloader:v1";
        let renamed = json!([{"image": "mirror/metrics@sha256:00", "args": [option]}]);
        let renamed = json!({"spec": {"template": {"spec": {"containers": renamed}}}});
        assert_eq!(arguments(&renamed).unwrap(), [option]);
    }
}

//! The comparison with live objects, and the decision, with many objects.

use serde_json::{Value, json};

use crate::helm::{ReleaseInfo, ReleaseStatus};
use crate::plan::Observed;
use crate::plan::decide::build;
use crate::plan::differences::difference;
use crate::stack::Release;

type Call = Box<dyn FnMut() -> usize>;
type Benchmark = (&'static str, [usize; 2], fn(usize) -> Call);

/// Name, sizes and call of each function.
pub(crate) const BENCHMARKS: &[Benchmark] =
    &[("comparison-of-objects", [500, 2_000], comparison), ("plan-of-values", [2_500, 10_000], plan)];

/// A Deployment as a chart renders it.
fn deployment(number: usize) -> Value {
    let container = |name: &str| {
        json!({"name": name, "image": "registry.example/app:1.2.3", "args": ["--port=8080", "--level=info"],
            "ports": [{"name": "http", "containerPort": 8080}],
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}})
    };
    let labels = json!({"app": format!("app-{number}")});
    let containers = json!([container("app"), container("reloader")]);
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": format!("app-{number}"), "namespace": "m", "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}}}})
}

/// Every fifth live object has another number of replicas; how many differ.
fn comparison(count: usize) -> Call {
    let desired: Vec<Value> = (0..count).map(deployment).collect();
    let live = desired.iter().cloned().enumerate().map(|(number, mut live)| {
        live["metadata"]["managedFields"] = json!([{"manager": "helm", "fieldsV1": {"f:spec": {}}}]);
        live["status"] = json!({"replicas": 2, "readyReplicas": 2});
        if number.is_multiple_of(5) {
            live["spec"]["replicas"] = json!(3);
        }
        live
    });
    let live: Vec<Value> = live.collect();
    Box::new(move || live.iter().zip(&desired).filter_map(|(live, desired)| difference(Some(live), desired)).count())
}

/// Values with this number of leaves, of which every tenth is this one.
fn values(leaves: usize, changed: usize) -> Value {
    let leaf = |number: usize| (format!("key{number}"), json!(if number.is_multiple_of(10) { changed } else { 0 }));
    Value::Object((0..leaves).map(leaf).collect())
}

/// Two installed releases with changed values; the length of the reasons.
fn plan(leaves: usize) -> Call {
    let mut observed = Observed::default();
    let desired = ["loki", "alloy"].map(|component| {
        let mut release = Release::for_tests(component, "1.0.0");
        release.values = values(leaves / 2, 1);
        let info = ReleaseInfo {
            name: component.into(),
            namespace: release.namespace.clone(),
            revision: 1,
            status: ReleaseStatus::Deployed,
            chart: release.chart.name.clone(),
            chart_version: release.chart.version.clone(),
            app_version: String::new(),
        };
        observed.values.insert(component.into(), values(leaves / 2, 2));
        observed.releases.insert(component.into(), info);
        release
    });
    Box::new(move || {
        let plan = build(desired.to_vec(), &observed).map(|plan| plan.waves);
        let steps = plan.iter().flatten().flat_map(|wave| &wave.steps);
        steps.map(|step| step.reason.len()).sum()
    })
}

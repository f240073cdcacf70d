//! Data sources that Grafana's sidecar would load. Grafana does not start with two default data sources.

use serde::Deserialize;
use serde_json::Value;

use crate::check::preflight::conflicts::intent::{Intent, release_of};
use crate::check::row::Finding;
use crate::cluster::{Cluster, ClusterError, ObjectRef};
use crate::config::KUBE_PROMETHEUS_STACK;
use crate::stack::Release;
use crate::yaml;

const SIDECAR: &str = "/grafana/sidecar/datasources";

/// A ConfigMap or Secret with a default data source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    object: ObjectRef,
    /// Name of the data source.
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Provisioning {
    #[serde(default)]
    datasources: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    name: String,
    #[serde(default)]
    is_default: bool,
}

/// The namespaces that the sidecar watches.
#[derive(Debug, PartialEq, Eq)]
enum Scope {
    /// The sidecar is disabled.
    Disabled,
    All,
    Namespaces(Vec<String>),
}

/// The default data sources that the sidecar would load; reads nothing if it is disabled.
pub(super) async fn read(cluster: &Cluster, intent: &Intent<'_>) -> Result<Vec<Source>, ClusterError> {
    let Some(stack) = release_of(&intent.desired, KUBE_PROMETHEUS_STACK) else { return Ok(Vec::new()) };
    let namespaces: Vec<Option<String>> = match scope(stack) {
        Scope::Disabled => return Ok(Vec::new()),
        Scope::All => vec![None],
        Scope::Namespaces(names) => names.into_iter().map(Some).collect(),
    };
    let label = label(stack);
    let mut found = Vec::new();
    for namespace in namespaces {
        for kind in ["ConfigMap", "Secret"] {
            let objects = cluster.list("v1", kind, namespace.as_deref(), Some(&label)).await?;
            found.extend(objects.iter().filter(|object| !is_of(object, stack)).flat_map(defaults));
        }
    }
    // The chart's own data sources are in ConfigMaps, too.
    let rendered = intent.incoming.iter().filter(|incoming| incoming.release.component == stack.component);
    let rendered = rendered.flat_map(|incoming| incoming.rendered);
    found.extend(rendered.filter(|object| has_label(object, &label)).flat_map(defaults));
    Ok(found)
}

fn scope(stack: &Release) -> Scope {
    let sidecar = stack.values.pointer(SIDECAR).cloned().unwrap_or_default();
    // The chart has both on by default.
    let is_disabled = |value: Option<&Value>| value == Some(&Value::Bool(false));
    if is_disabled(stack.values.pointer("/grafana/enabled")) || is_disabled(sidecar.get("enabled")) {
        return Scope::Disabled;
    }
    let named: Vec<&str> = match &sidecar["searchNamespace"] {
        Value::String(names) => names.split(',').map(str::trim).collect(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    match named.as_slice() {
        [] => Scope::Namespaces(vec![stack.namespace.clone()]),
        names if names.contains(&"ALL") => Scope::All,
        names => Scope::Namespaces(names.iter().map(|name| (*name).to_owned()).collect()),
    }
}

fn label(stack: &Release) -> String {
    let text = |key: &str| stack.values.pointer(&format!("{SIDECAR}/{key}")).and_then(Value::as_str);
    let label = text("label").unwrap_or("grafana_datasource");
    match text("labelValue") {
        Some(value) if !value.is_empty() => format!("{label}={value}"),
        _ => label.to_owned(),
    }
}

fn has_label(object: &Value, selector: &str) -> bool {
    let (label, value) = selector.split_once('=').map_or((selector, None), |(label, value)| (label, Some(value)));
    let found = object.pointer("/metadata/labels").and_then(|labels| labels.get(label)).and_then(Value::as_str);
    found.is_some_and(|found| value.is_none_or(|value| value == found))
}

fn is_of(object: &Value, release: &Release) -> bool {
    let annotation = |key: &str| object.pointer("/metadata/annotations").and_then(|all| all.get(key)?.as_str());
    annotation("meta.helm.sh/release-name") == Some(release.component.as_str())
        && annotation("meta.helm.sh/release-namespace") == Some(&release.namespace)
}

/// The default data sources in an object's provisioning files.
pub(super) fn defaults(object: &Value) -> Vec<Source> {
    use base64::Engine as _;
    let text = |value: &Value| -> Option<String> {
        let text = value.as_str()?;
        if object["kind"] != "Secret" {
            return Some(text.to_owned());
        }
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).ok()?).ok()
    };
    let files = [("data", true), ("stringData", false)];
    let files = files.iter().filter_map(|(key, encoded)| Some((object.get(key)?.as_object()?, *encoded)));
    let texts = files.flat_map(|(files, encoded)| {
        files.values().filter_map(move |value| if encoded { text(value) } else { value.as_str().map(str::to_owned) })
    });
    let documents = texts.filter_map(|text| yaml::documents(&text).ok()?.into_iter().next());
    let read = documents.filter_map(|document| serde_json::from_value::<Provisioning>(document).ok());
    let entries = read.flat_map(|file| file.datasources).filter(|entry| entry.is_default);
    entries.map(|entry| Source { object: ObjectRef::of(object), name: entry.name }).collect()
}

/// `grafana-data-source-conflict`
pub(super) fn judge(desired: &[&Release], sources: &[Source]) -> Finding {
    let is_disabled = release_of(desired, KUBE_PROMETHEUS_STACK).is_none_or(|stack| scope(stack) == Scope::Disabled);
    if is_disabled {
        return Finding::pass("the data source sidecar is disabled");
    }
    if sources.is_empty() {
        return Finding::pass("");
    }
    let describe = |source: &Source| {
        let ObjectRef { kind, name, namespace, .. } = &source.object;
        let in_namespace = namespace.as_ref().map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
        format!("{kind} {name}{in_namespace} has the default data source {}", source.name)
    };
    let detail = sources.iter().map(describe).collect::<Vec<_>>().join("; ");
    let hint = "set `isDefault: false` there, remove its label, keep `grafana.sidecar.datasources.enabled: false` below \
                values.kube-prometheus-stack, or, for the chart's own, set isDefaultDatasource: false there";
    Finding::fail(detail).hinting(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::preflight::conflicts::fixtures::release;
    use crate::check::row::State;
    use serde_json::json;

    fn stack(sidecar: Value) -> Release {
        let mut stack = release(KUBE_PROMETHEUS_STACK);
        stack.values = json!({"grafana": {"sidecar": {"datasources": sidecar}}});
        stack
    }

    #[test]
    fn the_scope_of_the_sidecar_is_in_its_values() {
        assert_eq!(scope(&stack(json!({"enabled": false}))), Scope::Disabled);
        assert_eq!(scope(&stack(json!({}))), Scope::Namespaces(vec!["monitoring".into()]));
        assert_eq!(scope(&stack(json!({"searchNamespace": "ALL"}))), Scope::All);
        let two = Scope::Namespaces(vec!["a".into(), "b".into()]);
        assert_eq!(scope(&stack(json!({"searchNamespace": ["a", "b"]}))), two);
        assert_eq!(scope(&stack(json!({"searchNamespace": "a, b"}))), two);
        assert_eq!(label(&stack(json!({"label": "x", "labelValue": "1"}))), "x=1");
        let labelled = json!({"metadata": {"labels": {"x": "1"}}});
        assert!(has_label(&labelled, "x=1") && has_label(&labelled, "x") && !has_label(&labelled, "x=2"));
    }

    /// Any client of the cluster may write such a file; Grafana does not load it.
    #[test]
    fn a_file_with_too_many_aliases_is_not_read() {
        let bomb = format!("a: &a [{}]\nb: [{}]\n", "1,".repeat(3000), "*a,".repeat(3000));
        let file = format!("datasources: [{{ name: Mine, isDefault: true }}]\n{bomb}");
        let map = json!({"kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a.yaml": file}});
        assert_eq!(defaults(&map), []);
    }

    #[test]
    fn a_second_default_data_source_fails_with_its_object() {
        let file = "datasources:\n- { name: Mine, isDefault: true }\n- { name: Other }\n";
        let map = json!({"kind": "ConfigMap", "metadata": {"name": "m", "namespace": "n"}, "data": {"a.yaml": file, "b": "["}});
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(file);
        let secret =
            json!({"kind": "Secret", "metadata": {"name": "s", "namespace": "n"}, "data": {"a.yaml": encoded}});
        let found = [defaults(&map), defaults(&secret)].concat();
        let (on, off) = (stack(json!({})), stack(json!({"enabled": false})));
        let row = judge(&[&on], &found);
        assert_eq!(row.state, State::Fail);
        assert_eq!(
            row.detail,
            "ConfigMap m in namespace n has the default data source Mine; Secret s in namespace n has the default data source Mine"
        );
        assert_eq!(judge(&[&on], &[]).state, State::Pass);
        let row = judge(&[&off], &[]);
        assert_eq!((row.state, row.detail.as_str()), (State::Pass, "the data source sidecar is disabled"));
    }
}

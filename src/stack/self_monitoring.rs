//! Alert rules and dashboards for the stack itself, from `values/self-monitoring.yaml`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::{LogsMode, Settings};
use crate::stack::StackError;
use crate::stack::template::{Fillings, fill};
use crate::stack::yaml::is_false;

/// The file, below `values/`.
pub(super) const FILE: &str = "self-monitoring.yaml";
/// Value of kube-prometheus-stack: rules by name.
const RULES_MAP: &str = "additionalPrometheusRulesMap";
/// The same as a list, which the chart ignores beside the map (templates/prometheus/additionalPrometheusRules.yaml).
const RULES_LIST: &str = "additionalPrometheusRules";
/// Name of the rules in both, and the end of the name of their PrometheusRule.
const NAME: &str = "tailwatch";
/// Name of the placeholder that [`RULES_MAP`] has in the values.
pub(super) const PLACEHOLDER: &str = "selfMonitoring.rules";

/// The file, with unfilled placeholders.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    metrics: Section,
    /// Left out with `logs: none`.
    logs: Section,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Section {
    rules: Vec<Rule>,
    dashboards: Vec<Dashboard>,
}

/// As Prometheus reads it (prometheus.io/docs/prometheus/latest/configuration/alerting_rules).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    alert: String,
    /// Component -> paths of values. With one of them `false`, nothing would end the alert.
    #[serde(default, skip_serializing)]
    switches: BTreeMap<String, Vec<String>>,
    expr: String,
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pending: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: Annotations,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Annotations {
    summary: String,
    description: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Dashboard {
    uid: String,
    title: String,
    #[serde(default)]
    source: DataSource,
    panels: Vec<Panel>,
}

/// Type and uid of the data source of a dashboard's panels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum DataSource {
    #[default]
    Prometheus,
    /// The dashboard has the variables `namespace`, the values of this label, and `text`.
    Loki,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Panel {
    title: String,
    #[serde(default)]
    kind: PanelKind,
    /// Grafana's id of a unit.
    #[serde(default = "without_unit")]
    unit: String,
    /// Legend -> query.
    queries: BTreeMap<String, String>,
}

fn without_unit() -> String {
    "short".into()
}

/// Grafana's id of a type of panel.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum PanelKind {
    #[default]
    TimeSeries,
    Stat,
    Logs,
}

impl Document {
    fn filled(&self, fillings: &Fillings) -> Result<Document, StackError> {
        let malformed = |source: serde_json::Error| StackError::Malformed { file: FILE.into(), source: source.into() };
        let filled = fill(FILE, &serde_json::to_value(self).map_err(malformed)?, fillings)?;
        serde_json::from_value(filled).map_err(malformed)
    }
}

/// What the stack's releases and own objects get of the file.
#[derive(Debug, Default)]
pub(super) struct SelfMonitoring {
    /// For [`PLACEHOLDER`]; `Null` without rules.
    pub(super) rules: Value,
    /// Dashboards: file name -> JSON of Grafana.
    pub(super) dashboards: BTreeMap<String, String>,
}

impl SelfMonitoring {
    /// From the values of each component. Empty if the answers switch it off, or if the folder of the catalogue has no such
    /// file.
    pub(super) fn of(
        document: Option<&Document>,
        values: &BTreeMap<&str, Value>,
        settings: &Settings,
        fillings: &Fillings,
    ) -> Result<SelfMonitoring, StackError> {
        let Some(mut document) = document.filter(|_| settings.self_monitoring).cloned() else {
            return Ok(SelfMonitoring::default());
        };
        let is_off = |(component, keys): (&String, &Vec<String>)| {
            let values = values.get(component.as_str()).unwrap_or(&Value::Null);
            keys.iter().any(|key| is_false(values, key))
        };
        for section in [&mut document.metrics, &mut document.logs] {
            section.rules.retain(|rule| !rule.switches.iter().any(is_off));
        }
        let Document { metrics, logs } = document.filled(fillings)?;
        let sections =
            [("metrics", Some(metrics)), ("logs", Some(logs).filter(|_| settings.logs == LogsMode::Install))];
        let (mut groups, mut dashboards) = (Vec::new(), BTreeMap::new());
        for (name, section) in sections.into_iter().filter_map(|(name, section)| Some((name, section?))) {
            groups.push(json!({"name": format!("{NAME}-{name}"), "rules": section.rules}));
            let files = section.dashboards.iter().map(|one| (format!("{}.json", one.uid), one.json().to_string()));
            dashboards.extend(files);
        }
        Ok(SelfMonitoring { rules: json!({NAME: {"groups": groups}}), dashboards })
    }
}

/// Moves the rules to the list where a user's values have rules in it and none in the map.
pub(super) fn move_rules_to_list(values: &mut Value, overrides: &Value) {
    let is_list = overrides[RULES_LIST].as_array().is_some_and(|list| !list.is_empty());
    if !is_list || overrides.get(RULES_MAP).is_some() {
        return;
    }
    let Some(Value::Object(mut rules)) = values.as_object_mut().and_then(|values| values.remove(RULES_MAP)) else {
        return;
    };
    if let (Some(mut own), Value::Array(list)) = (rules.remove(NAME), &mut values[RULES_LIST]) {
        own["name"] = NAME.into();
        list.push(own);
    }
}

impl Dashboard {
    /// The JSON model (grafana.com/docs/grafana/latest/visualizations/dashboards/build-dashboards/view-dashboard-json-model).
    fn json(&self) -> Value {
        const COLUMNS: u32 = 24;
        let (mut x, mut y, mut row) = (0, 0, 0);
        let mut panels = Vec::new();
        for (id, panel) in (1_u32..).zip(&self.panels) {
            let (width, height) = panel.kind.size();
            if x + width > COLUMNS {
                (x, y, row) = (0, y + row, 0);
            }
            panels.push(self.panel(id, panel, &json!({"x": x, "y": y, "w": width, "h": height})));
            (x, row) = (x + width, row.max(height));
        }
        json!({
            "uid": self.uid, "title": self.title, "tags": [NAME], "schemaVersion": 39, "editable": true,
            "timezone": "browser", "refresh": "1m", "time": {"from": "now-6h", "to": "now"},
            "templating": {"list": self.variables()}, "panels": panels,
        })
    }

    fn panel(&self, id: u32, panel: &Panel, position: &Value) -> Value {
        let targets = ('A'..).zip(&panel.queries).map(|(name, (legend, query))| {
            json!({"refId": name.to_string(), "datasource": self.source.json(), "expr": query, "legendFormat": legend})
        });
        json!({
            "id": id, "title": panel.title, "type": panel.kind, "gridPos": position,
            "datasource": self.source.json(), "targets": targets.collect::<Vec<_>>(),
            "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        })
    }

    fn variables(&self) -> Vec<Value> {
        if self.source != DataSource::Loki {
            return Vec::new();
        }
        // Type 1 of a query of Loki: the values of a label.
        let label = json!({"label": "namespace", "refId": "namespace", "stream": "", "type": 1});
        let namespaces = json!({
            "name": "namespace", "type": "query", "datasource": self.source.json(), "query": label, "refresh": 2,
            "includeAll": true, "multi": true, "allValue": ".+", "current": {"text": ["All"], "value": ["$__all"]},
        });
        vec![namespaces, json!({"name": "text", "label": "contains", "type": "textbox", "query": ""})]
    }
}

impl DataSource {
    fn json(self) -> Value {
        json!({"type": self, "uid": self})
    }
}

impl PanelKind {
    /// Width of Grafana's 24 columns, and height.
    fn size(self) -> (u32, u32) {
        match self {
            PanelKind::TimeSeries => (12, 8),
            PanelKind::Stat => (6, 4),
            PanelKind::Logs => (24, 14),
        }
    }
}

#[cfg(test)]
#[path = "self_monitoring_tests.rs"]
mod tests;

//! Differences in words, for `plan --diff`. Pure.

use serde_json::Value;

use crate::plan::{Observed, Plan};

/// Unified diff of one release's user-supplied values.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ValueDiff {
    /// Component name.
    pub component: String,
    /// Unified diff with three lines of context; empty when nothing differs.
    pub diff: String,
}

/// One diff per step, in wave order. Values hold no secrets, so nothing is masked here.
pub fn value_diff(plan: &Plan, observed: &Observed) -> Vec<ValueDiff> {
    let empty = Value::Object(serde_json::Map::new());
    plan.releases()
        .map(|release| {
            let name = release.component.to_string();
            let old = yaml(observed.values.get(&name).unwrap_or(&empty));
            let new = yaml(&release.values);
            let diff = similar::TextDiff::from_lines(&old, &new)
                .unified_diff()
                .header(&format!("{name} values that stand"), &format!("{name} values wanted"))
                .to_string();
            ValueDiff { component: name, diff: if old == new { String::new() } else { diff } }
        })
        .collect()
}

fn yaml(value: &Value) -> String {
    match value {
        Value::Object(map) if map.is_empty() => String::new(),
        other => serde_yaml::to_string(other).unwrap_or_default(),
    }
}

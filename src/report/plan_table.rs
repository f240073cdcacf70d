//! The plan, the status and a diff as text. Colour and width never carry the only meaning.

use std::collections::BTreeMap;

use semver::Version;

use crate::event::{ActionKind, PlannedStep, StatusRow};
use crate::redaction::without_secrets;
use crate::report::labels::action_label;
use crate::report::style::{Style, Tone};
use crate::report::wrap::wrap;

/// The plan, a line per step; long reasons are wrapped.
pub fn plan_table(steps: &[PlannedStep], style: &Style, width: usize) -> String {
    let widest = steps.iter().map(|step| step.component.len()).max().unwrap_or_default();
    let mut text = String::from("\n");
    for step in steps {
        let tone = if step.action == ActionKind::Unchanged { Tone::Faint } else { Tone::Good };
        let action = style.paint(tone, &format!("{:<9}", action_label(step.action)));
        let start = format!("  wave {}  {:widest$}  {:<8}  {action}  ", step.wave, step.component, step.chart_version);
        let indent = " ".repeat(console::measure_text_width(&start));
        text += &wrap(&format!("{start}{}", step.reason), &indent, width);
        text.push('\n');
        for line in effect_lines(step) {
            let line = wrap(&format!("{EFFECT}{line}"), "               ", width);
            text += &style.paint(Tone::Faint, &line);
            text.push('\n');
        }
    }
    text.push('\n');
    text
}

const EFFECT: &str = "             ";

/// The effects of a step, a line per kind; restarts and re-created objects by name, other objects counted.
fn effect_lines(step: &PlannedStep) -> Vec<String> {
    let effects = &step.effects;
    let counts = [
        (effects.added.len(), "new"),
        (effects.changed.len(), "changed"),
        (effects.removed.len(), "removed"),
        (effects.crds.len(), "CRDs"),
    ];
    let counted: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| if what == "CRDs" { format!("{count} CRDs") } else { format!("{count} {what}") })
        .collect();
    let mut lines = Vec::new();
    if !counted.is_empty() {
        lines.push(format!("objects: {}", counted.join(", ")));
    }
    if let Some(crd) = effects.crds.first().filter(|crd| crd.contains(" -> ")) {
        let versions = crd.split_once(' ').map_or("", |(_, versions)| versions);
        lines.push(format!("CRDs: {versions}"));
    }
    let named = [
        ("restarts", &effects.restarts),
        ("re-created, keeping pods and data", &effects.recreated),
        ("grows", &effects.growth),
        ("images", &effects.images),
    ];
    let named = named.into_iter().filter(|(_, entries)| !entries.is_empty());
    lines.extend(named.map(|(label, entries)| format!("{label}: {}", entries.join(", "))));
    lines
}

/// What is installed, a line per component.
pub fn status_table(rows: &[StatusRow], style: &Style, width: usize) -> String {
    let rows = &without_secrets(rows.to_vec());
    let widest = rows.iter().map(|row| row.component.len()).max().unwrap_or_default();
    let mut text = String::new();
    for row in rows {
        let installed = row.status.as_deref().unwrap_or("not installed");
        let tone = match (row.status.as_deref(), row.ready == row.desired) {
            (Some("deployed"), true) => Tone::Good,
            (Some("deployed"), false) => Tone::Warning,
            _ => Tone::Bad,
        };
        let status = style.paint(tone, &format!("{installed:<13}"));
        let version = row.chart_version.as_deref().unwrap_or("-");
        let start = format!("  {:widest$}  {version:<8}  {status}  ", row.component);
        let indent = " ".repeat(console::measure_text_width(&start));
        let ready = if row.status.is_some() { format!("{}/{} ready", row.ready, row.desired) } else { String::new() };
        let waiting = row.waiting.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        text += wrap(&format!("{start}{ready}{waiting}"), &indent, width).trim_end();
        text.push('\n');
    }
    text
}

/// The newer chart versions of installed releases, a line each, and how to install them; `newest` by component.
pub fn updates(rows: &[StatusRow], newest: &BTreeMap<String, Version>) -> String {
    let newer = rows.iter().filter_map(|row| {
        let installed = Version::parse(row.chart_version.as_deref()?).ok()?;
        let newest = newest.get(&row.component).filter(|newest| **newest > installed)?;
        Some(format!("{} {installed} -> {newest}", row.component))
    });
    let mut lines: Vec<String> = newer.collect();
    lines.push(match lines.is_empty() {
        true => "every chart has its newest version".to_owned(),
        false => "`tailwatch upgrade` shows what they change".to_owned(),
    });
    format!("  Updates  {}\n", lines.join("\n           "))
}

/// A unified diff with its lines coloured.
pub fn diff_text(diff: &str, style: &Style) -> String {
    let paint = |line: &str| match line.as_bytes().first() {
        Some(b'+') => style.paint(Tone::Good, line),
        Some(b'-') => style.paint(Tone::Bad, line),
        _ => line.to_owned(),
    };
    diff.lines().map(|line| paint(line) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_stays_in_its_column() {
        let step = PlannedStep {
            component: "loki".into(),
            wave: 32,
            namespace: "monitoring".into(),
            chart: "loki".into(),
            chart_version: "6.46.0".into(),
            action: ActionKind::Repair,
            reason: "revision 3 was interrupted and is still pending in the cluster".into(),
            from_version: None,
            effects: crate::event::Effects::default(),
            usual_seconds: None,
        };
        let table = plan_table(&[step], &Style { color: false }, 60);
        assert!(table.lines().all(|line| line.len() <= 60), "{table}");
        assert_eq!(table.trim().lines().count(), 4, "{table}");
    }

    #[test]
    fn only_newer_versions_are_updates() {
        let row = |component: &str| -> StatusRow {
            let row = serde_json::json!({"component": component, "wave": 30, "namespace": "monitoring",
                "chartVersion": "9.0.0", "ready": 1, "desired": 1});
            serde_json::from_value(row).unwrap()
        };
        let newest = |versions: [&str; 2]| {
            let named = ["loki", "alloy"].map(str::to_owned).into_iter();
            updates(&[row("loki"), row("alloy")], &named.zip(versions.map(|text| text.parse().unwrap())).collect())
        };
        insta::assert_snapshot!(newest(["10.0.0", "8.9.0"]), @r"
          Updates  loki 9.0.0 -> 10.0.0
                   `tailwatch upgrade` shows what they change
        ");
        insta::assert_snapshot!(newest(["9.0.0", "8.9.0"]), @"  Updates  every chart has its newest version");
    }

    #[test]
    fn effects_are_below_their_step() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let step = PlannedStep {
            component: "loki".into(),
            wave: 32,
            namespace: "monitoring".into(),
            chart: "loki".into(),
            chart_version: "6.55.0".into(),
            from_version: Some("6.46.0".into()),
            action: ActionKind::Upgrade,
            reason: "chart 6.46.0 -> 6.55.0".into(),
            effects: crate::event::Effects {
                changed: texts(&["ConfigMap loki", "StatefulSet loki"]),
                restarts: texts(&["StatefulSet loki"]),
                images: texts(&["docker.io/grafana/loki 3.5.7 -> 3.6.7"]),
                ..Default::default()
            },
            usual_seconds: None,
        };
        insta::assert_snapshot!(plan_table(&[step], &Style { color: false }, 80));
    }
}

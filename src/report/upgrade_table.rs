//! The output of `upgrade`: a line per component, and below it the upgrade path to the proposed version.

use crate::event::{PathRow, UpgradeRow};
use crate::report::style::{Style, Tone};
use crate::report::wrap::wrap;

/// A line per component, and its upgrade path.
pub fn upgrade_table(rows: &[UpgradeRow], style: &Style, width: usize) -> String {
    let widest = |text: fn(&UpgradeRow) -> String| rows.iter().map(|row| text(row).len()).max().unwrap_or_default();
    let (name, versions) = (widest(|row| row.component.clone()), widest(versions));
    let mut text = String::from("\n");
    for row in rows {
        let tone = if row.target.is_some() { Tone::Good } else { Tone::Faint };
        let between = style.paint(tone, &format!("{:versions$}", self::versions(row)));
        let start = format!("  {:name$}  {between}  ", row.component);
        let indent = " ".repeat(console::measure_text_width(&start));
        text += &line(&start, &remark(row), &indent, width);
        if let Some(version) = &row.unverified {
            let untried = format!("{version} has a major version that was not tested with this tailwatch");
            text += &line("      ", &style.paint(Tone::Warning, &untried), "      ", width);
        }
        for (at, step) in row.path.iter().enumerate() {
            text += &path_text(step, style, width);
            // Steps with the same page share its link, which is not wrapped, for copying.
            if row.path.get(at + 1).is_none_or(|next| next.docs != step.docs) {
                text += &format!("{STEP_INDENT}{}\n", style.paint(Tone::Faint, &step.docs));
            }
        }
    }
    text
}

fn versions(row: &UpgradeRow) -> String {
    match &row.target {
        Some(target) => format!("{} -> {target}", row.installed),
        None => row.installed.clone(),
    }
}

fn remark(row: &UpgradeRow) -> String {
    match (&row.newest, row.newer) {
        (None, _) => "no version in the repository".into(),
        (Some(_), 0) => "up to date".into(),
        (Some(newest), 1) => format!("1 newer version, {newest}"),
        (Some(newest), newer) => format!("{newer} newer versions, up to {newest}"),
    }
}

/// Indent below the text of a step.
const STEP_INDENT: &str = "                ";

fn path_text(step: &PathRow, style: &Style, width: usize) -> String {
    let crds = if step.crds { "; CRDs change" } else { "" };
    let mut text = line(&format!("      {:<8}  ", step.to), &format!("{}{crds}", step.what), STEP_INDENT, width);
    let mut more = |extra: String| text += &line(STEP_INDENT, &extra, STEP_INDENT, width);
    if let Some(repository) = &step.repository {
        more(format!("the chart comes from {repository}"));
    }
    for change in &step.values {
        more(format!("values: {change}"));
    }
    if let Some(reason) = &step.rollback {
        more(style.paint(Tone::Warning, &format!("no rollback: {reason}")));
    }
    text
}

fn line(start: &str, text: &str, indent: &str, width: usize) -> String {
    wrap(&format!("{start}{text}"), indent, width).trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(component: &str, newer: usize, target: Option<&str>) -> UpgradeRow {
        UpgradeRow {
            component: component.into(),
            installed: "6.46.0".into(),
            newest: Some(target.unwrap_or("6.46.0").into()),
            newer,
            target: target.map(str::to_owned),
            unverified: None,
            path: Vec::new(),
        }
    }

    #[test]
    fn the_upgrade_path_is_below_its_component() {
        let mut loki = row("loki", 37, Some("18.11.0"));
        loki.newest = Some("19.0.0".into());
        loki.unverified = Some("19.0.0".into());
        let moved = PathRow {
            to: "7.0.0".into(),
            what: "the chart moves to the community repository and needs Kubernetes 1.25 or later".into(),
            crds: true,
            values: vec!["enterprise was removed; omit it".into()],
            repository: Some("https://charts.example".into()),
            rollback: Some("data".into()),
            docs: "https://docs.example".into(),
        };
        let plain = PathRow {
            to: "8.0.0".into(),
            crds: false,
            values: vec![],
            repository: None,
            rollback: None,
            ..moved.clone()
        };
        loki.path = vec![moved, plain];
        let table = upgrade_table(&[row("alloy", 0, None), loki], &Style { color: false }, 60);
        insta::assert_snapshot!(table, @r"

          alloy  6.46.0             up to date
          loki   6.46.0 -> 18.11.0  37 newer versions, up to 19.0.0
              19.0.0 has a major version that was not tested with
              this tailwatch
              7.0.0     the chart moves to the community repository
                        and needs Kubernetes 1.25 or later; CRDs
                        change
                        the chart comes from https://charts.example
                        values: enterprise was removed; omit it
                        no rollback: data
              8.0.0     the chart moves to the community repository
                        and needs Kubernetes 1.25 or later
                        https://docs.example
        ");
    }
}

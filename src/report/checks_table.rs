//! The table of check results: one line per check or per group; warnings and failures with every field.

use crate::event::{CheckResult, Verdict};
use crate::redaction::without_secrets;
use crate::report::labelled_block::{Block, Row};
use crate::report::labels::{verdict_label, verdict_tone};
use crate::report::style::{Style, Tone};
use crate::report::wrap::{cut, one_line, wrap};

/// Results of one group, in the order in which they came.
pub(super) type Group<'a> = (&'a str, Vec<&'a CheckResult>);

/// The results by group; the groups in the order of their first results.
pub(super) fn groups(checks: &[CheckResult]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for check in checks {
        match groups.iter_mut().find(|(name, _)| *name == check.group) {
            Some((_, members)) => members.push(check),
            None => groups.push((&check.group, vec![check])),
        }
    }
    groups
}

/// How many checks have this verdict.
pub(super) fn count(checks: &[CheckResult], verdict: Verdict) -> usize {
    checks.iter().filter(|check| check.verdict == verdict).count()
}

/// Columns of `  pass  `.
const STATEMENT: usize = 8;
/// A detail with fewer columns than this is left out.
const LEAST: usize = 12;

/// Every check by group, then the number of each verdict.
pub fn checks_table(checks: &[CheckResult], style: &Style, width: usize) -> String {
    let checks = &without_secrets(checks.to_vec());
    let mut text = String::new();
    for (group, members) in groups(checks) {
        text += &format!("\n{}\n", style.paint(Tone::Strong, group));
        for check in members {
            text += &check_text(check, *style, width);
        }
    }
    text + &format!("\n{}\n", totals(checks))
}

/// A line per group with the number of its checks that pass, and below it each check that does not; then the number of
/// each verdict.
pub fn checks_overview(checks: &[CheckResult], style: &Style, width: usize) -> String {
    let checks = &without_secrets(checks.to_vec());
    let groups = groups(checks);
    let longest = groups.iter().map(|(group, _)| console::measure_text_width(group)).max().unwrap_or_default();
    let mut text = String::from("\n");
    for (group, members) in groups {
        let others: Vec<_> = members.iter().filter(|check| check.verdict != Verdict::Pass).collect();
        let worst = [Verdict::Fail, Verdict::Warn, Verdict::Skip];
        let worst = worst.into_iter().find(|verdict| others.iter().any(|check| check.verdict == *verdict));
        let worst = worst.unwrap_or(Verdict::Pass);
        let verdict = style.paint(verdict_tone(worst), verdict_label(worst));
        let passed = members.len() - others.len();
        text += &format!("  {verdict}  {group:longest$}  {passed} of {}\n", members.len());
        others.into_iter().for_each(|check| text += &check_text(check, *style, width));
    }
    text + &wrap(&format!("\n{}; --verbose lists each", totals(checks)), "", width) + "\n"
}

fn totals(checks: &[CheckResult]) -> String {
    format!(
        "{}: {} pass, {} warn, {} fail, {} skip",
        how_many(checks.len()),
        count(checks, Verdict::Pass),
        count(checks, Verdict::Warn),
        count(checks, Verdict::Fail),
        count(checks, Verdict::Skip),
    )
}

/// `1 check`, `38 checks`
pub(super) fn how_many(count: usize) -> String {
    format!("{count} {}", if count == 1 { "check" } else { "checks" })
}

fn check_text(check: &CheckResult, style: Style, width: usize) -> String {
    let verdict = style.paint(verdict_tone(check.verdict), verdict_label(check.verdict));
    let indent = " ".repeat(STATEMENT);
    let statement = wrap(&format!("  {verdict}  {}", check.statement), &indent, width);
    let detail = one_line(&check.detail);
    let rows = match check.verdict {
        Verdict::Pass | Verdict::Skip => match detail_after(&statement, &detail, check.verdict, width) {
            Some(short) => return format!("{statement}{}\n", style.paint(Tone::Faint, &short)),
            None => [Row::new("why", &detail)].into(),
        },
        Verdict::Warn | Verdict::Fail => all_fields(check, &detail),
    };
    format!("{statement}\n{}", Block { style, width, indent: STATEMENT }.text(&rows))
}

/// The detail, cut to the rest of the statement's line. The reason of a skip is never cut: `None` if it does not fit.
fn detail_after(statement: &str, detail: &str, verdict: Verdict, width: usize) -> Option<String> {
    let last = statement.lines().last().unwrap_or_default();
    let room = width.saturating_sub(console::measure_text_width(last) + 2);
    if verdict == Verdict::Skip && console::measure_text_width(detail) > room {
        return None;
    }
    let fits = console::measure_text_width(detail) <= room || room >= LEAST;
    Some(if detail.is_empty() || !fits { String::new() } else { format!(": {}", cut(detail, room)) })
}

fn all_fields(check: &CheckResult, detail: &str) -> Vec<Row> {
    let hop = check.hop.filter(|_| check.verdict == Verdict::Fail).map(|hop| hop.between());
    vec![
        Row::new("found", detail),
        Row::new("broken", &hop.unwrap_or_default()),
        Row::of_lines("hint", check.hint.as_deref().unwrap_or_default()),
        Row::new("docs", check.docs.as_deref().unwrap_or_default()),
    ]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::event::Hop;

    pub(in crate::report) fn check(id: &str, group: &str, verdict: Verdict) -> CheckResult {
        CheckResult {
            id: id.into(),
            group: group.into(),
            hop: None,
            statement: "Prometheus retains samples for the configured period".into(),
            verdict,
            detail: "retention is 10d, configured is 15d".into(),
            hint: Some("check the flag".into()).filter(|_| matches!(verdict, Verdict::Warn | Verdict::Fail)),
            docs: None,
            seconds: 0.1,
        }
    }

    /// One of each verdict, with long and hostile texts.
    pub(in crate::report) fn mixed() -> Vec<CheckResult> {
        let mut targets = check("prometheus-targets-known", "metrics", Verdict::Warn);
        targets.statement = "Prometheus knows a target of every ServiceMonitor of the stack".into();
        targets.detail = "28 of 31 targets are known, missing are monitoring/kube-prometheus-stack-kubelet, \
                          monitoring/kube-prometheus-stack-coredns and monitoring/loki"
            .into();
        targets.hop = Some(Hop::TargetsPrometheus);
        let mut sent = check("logs-delivered", "logs", Verdict::Fail);
        sent.statement = "a line that a pod writes can be read in Loki".into();
        sent.detail = "no line of pod loki-0 within 90 s; Alloy reports: server returned HTTP status 401 \
                       Unauthorized <script>alert(1)</script>\nretried 12 times"
            .into();
        sent.hop = Some(Hop::AlloyLoki);
        sent.hint = Some("see `kubectl -n monitoring logs ds/alloy`; 401 means that loki.auth_enabled is on".into());
        sent.docs = Some("https://grafana.com/docs/loki/latest/".into());
        let mut reads = check("grafana-reads-loki", "logs", Verdict::Skip);
        reads.statement = "Grafana's Loki data source answers".into();
        reads.detail = "not tested, since logs-delivered did not pass".into();
        reads.hop = Some(Hop::LokiGrafana);
        let mut kept = check("loki-retention", "logs", Verdict::Pass);
        kept.statement = "Loki deletes logs after the configured period".into();
        kept.detail = "7d; the compactor runs every 10m and has deleted 3 chunks since it was started".into();
        let mut assigned = check("address-assigned", "oauth2-proxy", Verdict::Pass);
        assigned.statement = "the tailnet has given Grafana its address".into();
        assigned.detail = "grafana.tail1a2b.ts.net".into();
        assigned.hop = Some(Hop::BrowserTailnet);
        let retention = check("prometheus-retention", "metrics", Verdict::Pass);
        vec![retention, sent, reads, targets, kept, assigned]
    }

    fn table(width: usize) -> String {
        let table = checks_table(&mixed(), &Style { color: false }, width);
        assert!(table.lines().all(|line| console::measure_text_width(line) <= width), "{table}");
        table
    }

    #[test]
    fn checks_are_grouped_at_80_columns() {
        insta::assert_snapshot!(table(80));
    }

    #[test]
    fn checks_are_grouped_at_120_columns() {
        insta::assert_snapshot!(table(120));
    }

    #[test]
    fn the_overview_has_a_line_per_group_and_what_does_not_pass() {
        let overview = checks_overview(&mixed(), &Style { color: false }, 80);
        assert!(overview.lines().all(|line| console::measure_text_width(line) <= 80), "{overview}");
        insta::assert_snapshot!(overview);
    }

    #[test]
    fn a_hint_keeps_its_line_breaks() {
        let mut groups = check("login-groups", "sign-in", Verdict::Fail);
        groups.hint = Some("add this:\nexports.go = () => {\n};".into());
        let table = checks_table(&[groups], &Style { color: false }, 80);
        let lines: Vec<&str> = table.lines().map(str::trim).collect();
        assert!(lines.contains(&"exports.go = () => {") && lines.contains(&"};"), "{table}");
    }

    #[test]
    fn one_check_is_counted_in_the_singular() {
        let table = checks_table(&[check("prometheus-ready", "metrics", Verdict::Pass)], &Style { color: false }, 80);
        assert!(table.ends_with("\n1 check: 1 pass, 0 warn, 0 fail, 0 skip\n"), "{table}");
    }

    #[test]
    fn the_reason_of_a_skip_is_never_cut() {
        let table = table(60);
        let reported: String = table.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(reported.contains("not tested, since logs-delivered did not pass"), "{table}");
    }
}

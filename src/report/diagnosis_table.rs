//! The table of findings, and the findings that are listed after a failure.

use crate::event::{Diagnosis, Event, Severity};
use crate::redaction::without_secrets;
use crate::report::labelled_block::{Block, Rows};
use crate::report::labels::{severity_label, severity_tone};
use crate::report::style::{Style, Tone};
use crate::report::wrap::{Clock, one_line, wrap};

/// How much was examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Examined {
    /// Number of rules.
    pub rules: usize,
    /// Number of objects.
    pub objects: usize,
}

/// Every finding by severity, then the number of each severity; or "no problems found".
pub fn findings_table(findings: &[Diagnosis], examined: Examined, style: &Style, width: usize) -> String {
    let findings = &without_secrets(findings.to_vec());
    let block = Block { style: *style, width, indent: 4 };
    table(findings, examined, &block, &Clock::local())
}

fn table(findings: &[Diagnosis], examined: Examined, block: &Block, clock: &Clock) -> String {
    let Examined { rules, objects } = examined;
    if findings.is_empty() {
        let nothing = format!("no problems found ({rules} rules, {objects} objects)");
        return wrap(&nothing, "", block.width) + "\n";
    }
    let mut text = String::new();
    let mut counts = Vec::new();
    for severity in [Severity::Fatal, Severity::Deadline, Severity::Notice] {
        let group: Vec<&Diagnosis> = findings.iter().filter(|finding| finding.severity == severity).collect();
        if group.is_empty() {
            continue;
        }
        text += &format!("\n{}\n", block.style.paint(severity_tone(severity), severity_label(severity)));
        for finding in &group {
            text += &format!("\n  {}\n", block.style.paint(Tone::Strong, &finding.rule));
            let Rows { place, since, cause, log, next, docs } = Rows::of(finding, clock);
            text += &block.text(&[cause, place, since, log, next, docs]);
        }
        counts.push(format!("{} {}", group.len(), severity_label(severity)));
    }
    let findings = if findings.len() == 1 { "1 finding".to_owned() } else { format!("{} findings", findings.len()) };
    let last = format!("{findings}: {}; {rules} rules, {objects} objects", counts.join(", "));
    text + "\n" + &wrap(&last, "", block.width) + "\n"
}

/// Whether both have the same rule and object, whatever their times.
pub(super) fn same_finding(one: &Diagnosis, other: &Diagnosis) -> bool {
    one.rule == other.rule && one.place == other.place
}

/// Findings other than the failure, which the error message reports.
#[derive(Debug, Default)]
pub(super) struct Others {
    failures: Vec<Diagnosis>,
    found: Vec<Diagnosis>,
}

impl Others {
    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::StepFinished { diagnosis: Some(diagnosis), .. } => self.failures.push((**diagnosis).clone()),
            Event::Diagnosed { findings } => self.found.clone_from(findings),
            _ => {}
        }
    }

    /// A line per finding; empty if there is none.
    pub(super) fn text(&self, style: Style, width: usize) -> String {
        let reported = |finding: &Diagnosis| self.failures.iter().any(|failure| same_finding(failure, finding));
        let others = self.found.iter().filter(|finding| !reported(finding));
        let line = |finding: &Diagnosis| {
            let rule = style.paint(severity_tone(finding.severity), &finding.rule);
            let line = format!("  {rule}: {}; next: {}", one_line(&finding.cause), one_line(&finding.hint));
            wrap(&line, "    ", width) + "\n"
        };
        let lines: String = others.map(line).collect();
        if lines.is_empty() { lines } else { format!("also found:\n{lines}") }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::event::DiagnosedObject;

    pub(in crate::report) fn clock() -> Clock {
        Clock { now: "2026-11-24T14:05:17Z".parse().unwrap(), zone: TimeZone::UTC }
    }

    /// Its log has more lines than are shown, escapes, and a line wider than any terminal.
    pub(in crate::report) fn crash_loop() -> Diagnosis {
        let mut log: Vec<String> = (1..=8).map(|line| format!("level=info msg=\"line {line}\"")).collect();
        log.push("\u{1b}[31mlevel=error\u{1b}[0m\tcaller=main.go:66 msg=\"error initialising\"\r\u{7}".into());
        log.push(format!("panic: {}", "invalid schema, ".repeat(20)));
        Diagnosis {
            rule: "crash-loop".into(),
            severity: Severity::Fatal,
            cause: "container loki of Pod loki-0 crashes repeatedly with exit code 1".into(),
            place: DiagnosedObject {
                component: Some("loki".into()),
                namespace: Some("monitoring".into()),
                workload: Some("StatefulSet loki".into()),
                object: "Pod loki-0".into(),
                container: Some("loki".into()),
            },
            evidence: "back-off 1m20s restarting failed container=loki pod=loki-0_monitoring".into(),
            since: "2026-11-24T14:03:12Z".parse().unwrap(),
            log,
            hint: "read all of it: `kubectl -n monitoring logs loki-0 -c loki --previous`".into(),
            docs: "tailwatch explain crash-loop".into(),
        }
    }

    fn node() -> Diagnosis {
        Diagnosis {
            rule: "node-pressure".into(),
            severity: Severity::Notice,
            cause: "Node node-1 runs out of disk".into(),
            place: DiagnosedObject { object: "Node node-1".into(), ..DiagnosedObject::default() },
            evidence: String::new(),
            since: "2026-11-23T09:00:00Z".parse().unwrap(),
            log: Vec::new(),
            hint: "free space on it".into(),
            docs: "tailwatch explain node-pressure".into(),
        }
    }

    fn shown(findings: &[Diagnosis]) -> String {
        let block = Block { style: Style { color: false }, width: 80, indent: 4 };
        table(findings, Examined { rules: 31, objects: 204 }, &block, &clock())
    }

    #[test]
    fn findings_are_grouped_by_severity() {
        let without_log = Diagnosis { log: Vec::new(), ..crash_loop() };
        insta::assert_snapshot!(shown(&[node(), without_log]), @r#"

        blocked

          crash-loop
            cause   container loki of Pod loki-0 crashes repeatedly with exit code 1
                    back-off 1m20s restarting failed container=loki
                    pod=loki-0_monitoring
            where   namespace monitoring, StatefulSet loki, Pod loki-0, container loki
            since   14:03:12, for 2m 5s
            next    read all of it:
                    `kubectl -n monitoring logs loki-0 -c loki --previous`
            docs    tailwatch explain crash-loop

        worth knowing

          node-pressure
            cause   Node node-1 runs out of disk
            where   Node node-1
            since   2026-11-23 09:00:00, for 1d 5h 5m
            next    free space on it
            docs    tailwatch explain node-pressure

        2 findings: 1 blocked, 1 worth knowing; 31 rules, 204 objects
        "#);
    }

    #[test]
    fn a_table_without_findings_reports_what_was_examined() {
        assert_eq!(shown(&[]), "no problems found (31 rules, 204 objects)\n");
    }

    #[test]
    fn the_finding_of_the_failure_is_not_repeated() {
        let mut others = Others::default();
        let later = Diagnosis { since: clock().now, ..crash_loop() };
        others.failures.push(crash_loop());
        others.apply(&Event::Diagnosed { findings: vec![later.clone()] });
        assert_eq!(others.text(Style { color: false }, 80), "");
        others.apply(&Event::Diagnosed { findings: vec![later, node()] });
        let reported = others.text(Style { color: false }, 80);
        assert_eq!(reported, "also found:\n  node-pressure: Node node-1 runs out of disk; next: free space on it\n");
    }
}

//! Rows of a label and a text, and the rows of a diagnosis.

use crate::event::{DiagnosedObject, Diagnosis};
use crate::report::style::{Style, Tone};
use crate::report::wrap::{Clock, cut, harmless, one_line, wrap};

/// A label and its paragraphs.
pub(super) struct Row {
    label: &'static str,
    texts: Vec<String>,
    fit: Fit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Wrapped,
    Cut,
}

impl Row {
    pub(super) fn new(label: &'static str, text: &str) -> Row {
        Row { label, texts: vec![one_line(text)], fit: Fit::Wrapped }
    }

    /// Keeps the line breaks of the text, e.g. of code to copy.
    pub(super) fn of_lines(label: &'static str, text: &str) -> Row {
        Row { label, texts: text.lines().map(one_line).collect(), fit: Fit::Wrapped }
    }
}

/// Lines of a container's log that are shown.
const LOG_LINES: usize = 8;

/// The rows of a diagnosis.
pub(super) struct Rows {
    pub(super) place: Row,
    pub(super) since: Row,
    pub(super) cause: Row,
    pub(super) log: Row,
    pub(super) next: Row,
    pub(super) docs: Row,
}

impl Rows {
    pub(super) fn of(finding: &Diagnosis, clock: &Clock) -> Rows {
        let mut cause = Row::new("cause", &finding.cause);
        let evidence = one_line(&finding.evidence);
        if !cause.texts[0].contains(&evidence) {
            cause.texts.push(evidence);
        }
        let log = finding.log.iter().skip(finding.log.len().saturating_sub(LOG_LINES));
        let log = log.map(|line| harmless(line).trim_end().to_owned()).collect();
        Rows {
            place: Row::new("where", &place_text(&finding.place)),
            since: Row::new("since", &clock.since(finding.since)),
            cause,
            log: Row { label: "log", texts: log, fit: Fit::Cut },
            next: Row::new("next", &finding.hint),
            docs: Row::new("docs", &finding.docs),
        }
    }
}

fn place_text(place: &DiagnosedObject) -> String {
    let namespace = place.namespace.as_ref().map(|name| format!("namespace {name}"));
    let workload = place.workload.clone().filter(|workload| *workload != place.object);
    let container = place.container.as_ref().map(|name| format!("container {name}"));
    let parts = [namespace, workload, Some(place.object.clone()), container];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Layout of rows.
pub(super) struct Block {
    pub(super) style: Style,
    pub(super) width: usize,
    /// Columns before the labels.
    pub(super) indent: usize,
}

/// Columns of the longest label and the gap after it.
const LABEL: usize = 8;

impl Block {
    /// Empty rows are left out.
    pub(super) fn text(&self, rows: &[Row]) -> String {
        let below = " ".repeat(self.indent + LABEL);
        let mut text = String::new();
        for row in rows.iter().filter(|row| row.texts.iter().any(|text| !text.is_empty())) {
            // The next step is what a reader needs first.
            let tone = if row.label == "next" { Tone::Strong } else { Tone::Plain };
            let label = self.style.paint(tone, &format!("{:LABEL$}", row.label));
            let mut start = format!("{}{label}", " ".repeat(self.indent));
            for paragraph in &row.texts {
                let line = format!("{start}{paragraph}");
                text += &match row.fit {
                    Fit::Wrapped => wrap(&line, &below, self.width),
                    Fit::Cut => cut(&line, self.width).into_owned(),
                };
                text.push('\n');
                start.clone_from(&below);
            }
        }
        text
    }
}

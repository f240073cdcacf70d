//! What `diagnose` found.

use crate::event::Diagnosis;
use crate::report::style::Style;
use crate::report::wrap;

/// What was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Looked {
    /// How many rules looked.
    pub rules: usize,
    /// At how many objects.
    pub objects: usize,
}

/// Every finding, or that there is none.
pub fn findings_table(findings: &[Diagnosis], looked: Looked, _style: &Style, width: usize) -> String {
    let mut text = String::new();
    for found in findings {
        text += &(wrap(&format!("{}: {}\n  next: {}", found.rule, found.cause, found.hint), "  ", width) + "\n");
    }
    if findings.is_empty() {
        text = format!("nothing is wrong: {} rules looked at {} objects\n", looked.rules, looked.objects);
    }
    text
}

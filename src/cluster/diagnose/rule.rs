//! Rows of the tables.

use crate::cluster::diagnose::matcher::When;
use crate::event::Severity;

/// One row: a condition, when it counts, its meaning and the next step.
pub(super) struct Rule {
    /// Stable id, kebab-case; the anchor in docs/diagnosis.md.
    pub(super) id: &'static str,
    pub(super) when: When,
    pub(super) severity: Severity,
    /// Seconds it must have been seen before it is reported: an absent object is normal for a moment.
    pub(super) named_after: i64,
    /// Seconds it must have been seen before it counts.
    pub(super) lasts: i64,
    /// How often it must have been seen: restarts of the container, or repetitions of the event.
    pub(super) repeats: u32,
    /// One sentence; `{name}` and the like are filled from the subject.
    pub(super) cause: &'static str,
    /// The next step, filled likewise.
    pub(super) hint: &'static str,
}

impl Rule {
    /// Defaults of a row: it may recover, and counts at once.
    pub(super) const BLANK: Rule = Rule {
        id: "",
        when: When::Crashed,
        severity: Severity::Deadline,
        named_after: 0,
        lasts: 0,
        repeats: 0,
        cause: "",
        hint: "",
    };
}

//! What each check asks, for documentation: `docs/checks.md` and `tailwatch explain` are made of these texts.

use crate::check::preflight::{conflicts, oidc, prerequisites, target};
use crate::check::row::Row;
use crate::check::{login, verify};
use crate::event::Verdict;

/// A check as it is documented.
#[derive(Clone, Debug)]
pub struct CheckText {
    /// Stable id.
    pub id: &'static str,
    /// The sentence that is true or false, a fragment without a full stop.
    pub statement: &'static str,
    /// Whole sentences: its group, how long it waits, what it needs.
    pub facts: Vec<String>,
    /// The next step where it is false; empty where only the verdict knows it.
    pub next: String,
}

/// Every check, in the order of its report.
pub fn texts() -> Vec<CheckText> {
    let login = login::statements().map(|(id, statement)| CheckText {
        id,
        statement,
        facts: vec!["Group: sign-in, made by `tailwatch verify --login`.".into()],
        next: String::new(),
    });
    [of_the_stack(), before_a_change(), of_the_provider()].into_iter().flatten().chain(login).collect()
}

/// Those of the installed stack.
pub(super) fn of_the_stack() -> Vec<CheckText> {
    verify::rows().into_iter().map(text).collect()
}

/// Those of the cluster and this machine.
pub(super) fn before_a_change() -> Vec<CheckText> {
    [prerequisites::ROWS, prerequisites::RENDERED, target::ROWS, conflicts::ROWS]
        .into_iter()
        .flatten()
        .map(text)
        .collect()
}

/// Those of the identity provider.
pub(super) fn of_the_provider() -> Vec<CheckText> {
    oidc::rows().into_iter().map(text).collect()
}

fn text<C>(row: &Row<C>) -> CheckText {
    let severity = match row.severity {
        Verdict::Warn => "a warning",
        _ => "a failure",
    };
    let time = match row.deadline.as_secs() {
        0 => String::new(),
        seconds => format!(", after {seconds} s in which it may become true"),
    };
    let mut facts = vec![format!("Path: {}. What is false is {severity}{time}.", row.group)];
    if let Some(hop) = row.hop {
        facts.push(format!("It speaks of the hop {}.", hop.title()));
    }
    if !row.needs.is_empty() {
        facts.push(format!("Skipped where {} did not pass.", row.needs.join(" or ")));
    }
    if let Some(part) = row.part {
        facts.push(format!("Skipped where the answers leave {part} out."));
    }
    let next = row.hint.replace("NAMESPACE", "monitoring");
    CheckText { id: row.id, statement: row.statement, facts, next }
}

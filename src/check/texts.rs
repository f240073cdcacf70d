//! The texts of the checks for `docs/checks.md` and `tailwatch explain`.

use crate::check::preflight::{conflicts, oidc, prerequisites, target};
use crate::check::row::Row;
use crate::check::{login, verify};
use crate::event::Verdict;

/// The documentation of a check.
#[derive(Clone, Debug)]
pub struct CheckText {
    /// Stable id.
    pub id: &'static str,
    /// The statement, without a full stop.
    pub statement: &'static str,
    /// Sentences: its group, deadline and needs.
    pub facts: Vec<String>,
    /// The next step if it is false; empty if it depends on the verdict.
    pub next: String,
}

/// Every check, in the order of its report.
pub fn texts() -> Vec<CheckText> {
    let login = login::ROWS.iter().map(|row| CheckText {
        id: row.id,
        statement: row.statement,
        facts: vec!["Group: sign-in, run by `tailwatch verify --login`.".into()],
        next: String::new(),
    });
    [of_the_stack(), before_a_change(), of_the_provider()].into_iter().flatten().chain(login).collect()
}

/// The checks of the installed stack.
pub(super) fn of_the_stack() -> Vec<CheckText> {
    verify::rows().into_iter().map(text).collect()
}

/// The checks of the cluster and this machine.
pub(super) fn before_a_change() -> Vec<CheckText> {
    fn of<C>(rows: &'static [Row<C>]) -> impl Iterator<Item = CheckText> {
        rows.iter().map(text)
    }
    of(prerequisites::ROWS)
        .chain(of(prerequisites::RENDERED))
        .chain(of(target::ROWS))
        .chain(of(conflicts::ROWS))
        .collect()
}

/// The checks of the identity provider.
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
        seconds => format!(", after a timeout of {seconds} s"),
    };
    let mut facts = vec![format!("Path: {}. If it is false: {severity}{time}.", row.group)];
    if row.on_request {
        facts.push(format!("Runs only with `--check {}`.", row.id));
    }
    if let Some(hop) = row.hop {
        facts.push(format!("Hop: {}.", hop.title()));
    }
    if !row.needs.is_empty() {
        facts.push(format!("Skipped if {} did not pass.", row.needs.join(" or ")));
    }
    if let Some(component) = row.component {
        facts.push(format!("Skipped if the answers leave {component} out."));
    }
    if !row.parts.is_empty() {
        facts.push(format!("Skipped if the answers switch {} off.", row.parts.join(" or ")));
    }
    let next = row.hint.replace("NAMESPACE", "monitoring");
    CheckText { id: row.id, statement: row.statement, facts, next }
}

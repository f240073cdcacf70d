//! The page that tells what each check asks: `docs/checks.md` is this text.

use std::path::Path;

use crate::check::row::Row;
use crate::check::{adoption, ground, identity, preflight, stack};
use crate::event::Verdict;

/// The rows' part of the page.
fn sections<C>(rows: &[&'static Row<C>]) -> String {
    rows.iter().map(|row| section(row)).collect()
}

fn section<C>(row: &Row<C>) -> String {
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
    let hint = row.hint.replace("NAMESPACE", "monitoring");
    format!("\n## {}\n\n*{}*\n\n{}\n\nNext: {hint}.\n", row.id, row.statement, facts.join(" "))
}

const HEAD: &str = "# What tailwatch checks\n\nEvery check, by the id that `--check` and `--skip-check` take. \
    `verify` makes them, and so does the end of an install.\n";

const GROUND: &str = "\n# What is asked before anything is changed\n\nOf the cluster and this machine, by `preflight`, and by an \
    install or upgrade that changes a release.\n";

const IDENTITY: &str = "\nOf the identity provider, by `preflight`, and by an install or upgrade that is to install or \
    change oauth2-proxy.\n";

/// Written anew with TAILWATCH_WRITE_DOCS=1.
#[test]
fn the_page_of_the_checks_is_what_the_rows_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/checks.md");
    let known = [preflight::ROWS, preflight::RENDERED, ground::ROWS, adoption::ROWS].into_iter().flatten();
    let known: Vec<_> = known.collect();
    let before = format!("{GROUND}{}{IDENTITY}{}", sections(&known), sections(&identity::rows()));
    let page = format!("{HEAD}{}{before}", sections(&stack::rows()));
    if std::env::var_os("TAILWATCH_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), page);
}

//! `docs/checks.md` is generated from the texts of the checks.

use std::path::Path;

use crate::check::texts::{CheckText, before_a_change, of_the_provider, of_the_stack};

/// The sections of these rows.
fn sections(rows: &[CheckText]) -> String {
    let section = |row: &CheckText| {
        let CheckText { id, statement, facts, next } = row;
        format!("\n## {id}\n\n*{statement}*\n\n{}\n\nNext: {next}.\n", facts.join(" "))
    };
    rows.iter().map(section).collect()
}

const HEAD: &str = "# What tailwatch checks\n\nEvery check, by the id for `--check` and `--skip-check`. \
    `verify` and the end of an install run them.\n";

const TARGET: &str = "\n# Preflight checks\n\nOf the cluster and this machine, by `preflight`, and by an install or upgrade that changes a \
    release.\n";

const IDENTITY: &str = "\nOf the identity provider, by `preflight`, and by an install or upgrade that installs or changes \
    oauth2-proxy.\n";

/// TAILWATCH_WRITE_DOCS=1 writes the page.
#[test]
fn the_page_of_the_checks_has_the_texts_of_the_rows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/checks.md");
    let before = format!("{TARGET}{}{IDENTITY}{}", sections(&before_a_change()), sections(&of_the_provider()));
    let page = format!("{HEAD}{}{before}", sections(&of_the_stack()));
    if std::env::var_os("TAILWATCH_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), page);
}

//! The page that tells what each check asks: `docs/checks.md` is this text.

use std::path::Path;

use crate::check::texts::{CheckText, before_a_change, of_the_provider, of_the_stack};

/// The rows' part of the page.
fn sections(rows: &[CheckText]) -> String {
    let section = |row: &CheckText| {
        let CheckText { id, statement, facts, next } = row;
        format!("\n## {id}\n\n*{statement}*\n\n{}\n\nNext: {next}.\n", facts.join(" "))
    };
    rows.iter().map(section).collect()
}

const HEAD: &str = "# What tailwatch checks\n\nEvery check, by the id that `--check` and `--skip-check` take. \
    `verify` makes them, and so does the end of an install.\n";

const GROUND: &str = "\n# What is asked before anything is changed\n\nOf the cluster and this machine, by `preflight`, and by an \
    install or upgrade that changes a release.\n";

const IDENTITY: &str = "\nOf the identity provider, by `preflight`, and by an install or upgrade that is to install or \
    change oauth2-proxy.\n";

/// Written again with TAILWATCH_WRITE_DOCS=1.
#[test]
fn the_page_of_the_checks_is_what_the_rows_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/checks.md");
    let before = format!("{GROUND}{}{IDENTITY}{}", sections(&before_a_change()), sections(&of_the_provider()));
    let page = format!("{HEAD}{}{before}", sections(&of_the_stack()));
    if std::env::var_os("TAILWATCH_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), page);
}

//! Ids of checks and diagnoses are API: `--check`, `explain`, JSON and JUnit have them.

use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Unit tests hold the pages to the rows of the code.
#[test]
fn ids_do_not_change() {
    let ids = |page: &str| -> Vec<String> {
        let mut ids: Vec<String> =
            read(page).lines().filter_map(|line| line.strip_prefix("## ")).map(String::from).collect();
        ids.sort();
        ids
    };
    let listed = format!(
        "# checks\n{}\n# diagnoses\n{}\n",
        ids("docs/checks.md").join("\n"),
        ids("docs/diagnosis.md").join("\n")
    );
    assert_same(&listed, &read("tests/ids.txt"));
}

#[track_caller]
fn assert_same(found: &str, listed: &str) {
    let missing: Vec<&str> = listed.lines().filter(|line| !found.lines().any(|other| other == *line)).collect();
    let added: Vec<&str> = found.lines().filter(|line| !listed.lines().any(|other| other == *line)).collect();
    assert!(
        missing.is_empty() && added.is_empty() && found == listed,
        "tests/ids.txt lists ids that do not exist: {missing:?}; ids that it does not list: {added:?}"
    );
}

//! The fault corpus: each folder of tests/faults/cases is provoked on an installed stack, and the diagnosis that the binary
//! reports is compared with the expected one. Times are reported and have no limit.
//!
//! `TAILWATCH_FAULTS=name,name` runs these, `TAILWATCH_FAULTS=all` every one, the default is every tenth one.

#![allow(missing_docs, clippy::unwrap_used)]

mod runner;

/// The program under test.
const TAILWATCH: &str = env!("CARGO_BIN_EXE_tailwatch");

#[test]
fn faults_are_diagnosed_and_transient_ones_fail_no_run() {
    let faults = runner::corpus::read();
    let began = std::time::Instant::now();
    let judged = runner::run_all(faults);
    let table = runner::table::render(&judged, began.elapsed());
    runner::say(&table);
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/faults.txt");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, &table).unwrap();
    // The output of each run is in target/faults/.
    let wrong: Vec<&str> = judged.iter().filter(|one| !one.is_right()).map(|one| one.name.as_str()).collect();
    assert!(wrong.is_empty(), "{} of {}: {}", wrong.len(), judged.len(), wrong.join(", "));
}

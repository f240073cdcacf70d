//! The documented exit codes and what each means, once. The crate's errors map to these constants; the manual page,
//! `tailwatch explain` and README.md repeat the rows.

/// Everything went as asked.
pub const OK: u8 = 0;
/// A bug or an unexpected local failure.
pub const INTERNAL: u8 = 1;
/// Wrong command line.
pub const USAGE: u8 = 2;
/// The answers are invalid or incomplete.
pub const ANSWERS: u8 = 3;
/// Something outside is in the way; the run wrote nothing.
pub const PREFLIGHT: u8 = 4;
/// The run failed after it had written to the cluster.
pub const INSTALL: u8 = 5;
/// Installed, but verification failed, or `diagnose` found what hinders it.
pub const VERIFICATION: u8 = 6;
/// Another run holds the lock, or took it.
pub const LOCKED: u8 = 7;
/// `plan --exit-code` found changes.
pub const CHANGES: u8 = 8;
/// Interrupted by the person or a signal.
pub const INTERRUPTED: u8 = 130;

/// An exit code as it is documented.
#[derive(Debug)]
pub struct ExitCode {
    /// The process' status.
    pub code: u8,
    /// What it means, in Markdown, a fragment without a full stop.
    pub meaning: &'static str,
    /// What to do then; empty where nothing is to be done.
    pub next: &'static str,
}

const fn row(code: u8, meaning: &'static str, next: &'static str) -> ExitCode {
    ExitCode { code, meaning, next }
}

/// Every code that a command ends with, in ascending order.
pub const ALL: [ExitCode; 10] = [
    row(OK, "success", ""),
    row(
        INTERNAL,
        "a bug or an unexpected local failure",
        "read the message; a file or folder that it names must be usable",
    ),
    row(USAGE, "wrong command line", "add `--help` to the command to see what it takes"),
    row(
        ANSWERS,
        "the answers are invalid or incomplete",
        "correct what the message names; `tailwatch answers check FILE` checks again",
    ),
    row(
        PREFLIGHT,
        "a check before the first write failed; nothing was changed",
        "do what the hint says, then run the same command again",
    ),
    row(
        INSTALL,
        "the installation or removal failed; the cluster was changed",
        "do what the hint says, then run the same command again: it continues from the current state",
    ),
    row(
        VERIFICATION,
        "installed, but verification failed, or `diagnose` found a problem",
        "read the failed checks; `tailwatch verify` and `tailwatch diagnose` look again",
    ),
    row(
        LOCKED,
        "another run holds the lock or took it over",
        "wait for the end of the run that the message names, or give `--lock-timeout`; then run the same command again",
    ),
    row(CHANGES, "`plan --exit-code` found changes", "`tailwatch install` makes them"),
    row(
        INTERRUPTED,
        "interrupted; the message says whether the cluster was changed",
        "run the same command again: it continues from the current state",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_the_rows() {
        let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
        let table = readme.split("\n| code | meaning |\n|---|---|\n").nth(1).and_then(|rest| rest.split("\n\n").next());
        let rows: Vec<String> = ALL.iter().map(|row| format!("| {} | {} |", row.code, row.meaning)).collect();
        assert_eq!(table.unwrap_or_default().lines().collect::<Vec<_>>(), rows);
    }
}

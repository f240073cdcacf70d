//! The documented exit codes and what each means, once. The crate's errors map to these constants; the manual page,
//! `tailwatch explain` and README.md repeat the rows.

/// Success.
pub const OK: u8 = 0;
/// A bug or an unexpected local failure.
pub const INTERNAL: u8 = 1;
/// Wrong command line.
pub const USAGE: u8 = 2;
/// The answers are invalid or incomplete.
pub const ANSWERS: u8 = 3;
/// A check before the first write failed; the run wrote nothing.
pub const PREFLIGHT: u8 = 4;
/// The run failed after it had written to the cluster.
pub const INSTALL: u8 = 5;
/// Installed, but verification failed, or `diagnose` found a problem.
pub const VERIFICATION: u8 = 6;
/// Another run holds or acquired the lock.
pub const LOCKED: u8 = 7;
/// `plan --exit-code` found changes.
pub const CHANGES: u8 = 8;
/// Interrupted by the user or a signal.
pub const INTERRUPTED: u8 = 130;

/// A documented exit code.
#[derive(Debug)]
pub struct ExitCode {
    /// The process' status.
    pub code: u8,
    /// The meaning, a Markdown fragment without a full stop.
    pub meaning: &'static str,
    /// The next step; may be empty.
    pub next: &'static str,
}

const fn row(code: u8, meaning: &'static str, next: &'static str) -> ExitCode {
    ExitCode { code, meaning, next }
}

/// Every code that a command ends with, in ascending order.
pub const ALL: [ExitCode; 10] = [
    row(OK, "success", ""),
    row(INTERNAL, "a bug or an unexpected local failure", "read the message; check the file or folder in it"),
    row(USAGE, "wrong command line", "add `--help` to the command to see its flags"),
    row(
        ANSWERS,
        "the answers are invalid or incomplete",
        "correct the answers in the message; `tailwatch answers check FILE` checks them again",
    ),
    row(
        PREFLIGHT,
        "a check before the first write failed; nothing was changed",
        "follow the hint, then run the same command again",
    ),
    row(
        INSTALL,
        "the installation or removal failed; the cluster was changed",
        "follow the hint, then run the same command again: it continues from the current state",
    ),
    row(
        VERIFICATION,
        "installed, but verification failed, or `diagnose` found a problem",
        "read the failed checks; `tailwatch verify` and `tailwatch diagnose` run them again",
    ),
    row(
        LOCKED,
        "another run holds or acquired the lock",
        "wait for the other run to end, or use `--lock-timeout`; then run the same command again",
    ),
    row(CHANGES, "`plan --exit-code` found changes", "`tailwatch install` applies them"),
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
    fn the_readme_has_every_exit_code() {
        let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
        let table = readme.split("\n| code | meaning |\n|---|---|\n").nth(1).and_then(|rest| rest.split("\n\n").next());
        let rows: Vec<String> = ALL.iter().map(|row| format!("| {} | {} |", row.code, row.meaning)).collect();
        assert_eq!(table.unwrap_or_default().lines().collect::<Vec<_>>(), rows);
    }
}

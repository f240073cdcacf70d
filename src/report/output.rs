//! Writes to stdout and stderr, without the secrets of the run, and without what foreign text could do to a terminal.

use std::io::Write as _;

use serde::Serialize;

use crate::foreign_text::{printable, printable_json};
use crate::redaction::{redacted, redacted_json};
use crate::report::live::region::{Stderr, Terminal as _};

/// Writes data; a closed pipe is not an error.
pub fn write_stdout(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(printable(&redacted(text)).as_bytes()).and_then(|()| stdout.flush());
}

/// Writes messages.
pub(super) fn write_stderr(text: &str) {
    let _ = std::io::stderr().lock().write_all(printable(&redacted(text)).as_bytes());
}

/// Writes a workflow command to stderr; its text is printable and has no secrets.
pub(super) fn write_workflow_command(command: &str) {
    let _ = std::io::stderr().lock().write_all(command.as_bytes());
}

/// One JSON document on stdout.
pub(super) fn json_document(document: &impl Serialize) {
    let json = redacted_json(&(serde_json::to_string_pretty(document).unwrap_or_default() + "\n"));
    let json = printable_json(&json);
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(json.as_bytes()).and_then(|()| stdout.flush());
}

/// Columns for text: the terminal's, at most 120; 100 without a terminal.
pub(super) fn width() -> usize {
    Stderr::new().text_width()
}

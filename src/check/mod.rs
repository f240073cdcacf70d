//! Checks as rows, and the runner that preflight, the end of an install and `verify` share. A check deletes what it
//! creates (a probe job, an alert). Must not print or prompt.

mod api;
#[cfg(test)]
mod docs_tests;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod https_client;
pub mod login;
mod monitor_tokens;
pub mod node_coverage;
pub mod preflight;
mod row;
mod runner;
mod texts;
pub mod verify;

use serde_json::Value;

pub use runner::Selection;
pub use texts::{CheckText, texts};

/// `metadata.name`
fn name_of(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// The first five items, and the number of the others.
fn some_of<T: AsRef<str>>(all: &[T]) -> String {
    crate::list::first_of(all, 5)
}

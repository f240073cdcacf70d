//! Checks: sentences that are true or false, as rows, and the one runner that preflight, the end of an install and
//! `verify` share. A check leaves nothing behind: what it has to make (a probe pod, an alert) it takes away again.
//! Must not print or prompt.

mod api;
#[cfg(test)]
mod docs_tests;
mod https_client;
pub mod login;
mod precomputed;
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

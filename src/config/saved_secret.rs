//! The Secret with the saved answers.

use crate::config::Secret;

/// Name of the Secret with the saved answers.
pub const SAVED_ANSWERS: &str = "tailwatch-answers";
/// Its key with the answers, in the answers file's format.
pub const SAVED_FILE: &str = "answers.yaml";

/// Bytes of answers that fit: a Secret has at most 1 MiB of data (Kubernetes, core.MaxSecretSize), and the other keys
/// need a little.
pub(super) const MAX_SAVED: usize = (1 << 20) - (4 << 10);

/// The saved answers of the last run.
#[derive(Clone, Debug)]
pub struct SavedState {
    /// Namespace of the stack, where the Secret [`SAVED_ANSWERS`] is.
    pub namespace: String,
    /// The answers, in the answers file's format.
    pub text: String,
    /// Version of tailwatch and time of writing, as saved with the answers; may be empty.
    pub writer: String,
    /// Random salt of the digests of chart values.
    pub salt: Secret<Vec<u8>>,
    /// The [`record`](crate::config::record()) of that run; `None`: absent.
    pub record: Option<String>,
}

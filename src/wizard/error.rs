//! Errors of prompts.

use std::io;

/// A prompt without an answer.
#[derive(Debug, thiserror::Error)]
pub enum WizardError {
    /// The user interrupted or chose to stop.
    #[error("interrupted")]
    Interrupted,
    /// The terminal failed.
    #[error("the terminal cannot be read")]
    Terminal(#[source] io::Error),
}

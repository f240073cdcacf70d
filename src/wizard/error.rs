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

impl From<io::Error> for WizardError {
    fn from(error: io::Error) -> WizardError {
        match error.kind() {
            io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof => WizardError::Interrupted,
            _ => WizardError::Terminal(error),
        }
    }
}

//! Errors of the questions.

use std::io;

/// A question had no answer.
#[derive(Debug, thiserror::Error)]
pub enum WizardError {
    /// The person interrupted or chose to stop.
    #[error("interrupted")]
    Interrupted,
    /// The terminal broke.
    #[error("the terminal cannot be read")]
    Terminal(#[source] io::Error),
}

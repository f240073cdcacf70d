//! What the wizard prompts with.

use std::io;
use std::path::Path;

use crate::wizard::WizardError;

/// Reply to a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A valid answer.
    Answer(String),
    /// `<`: back to the previous question.
    Back,
}

impl Reply {
    /// Of a line.
    pub(super) fn of(line: &str) -> Reply {
        if line.trim() == BACK { Reply::Back } else { Reply::Answer(line.trim().to_owned()) }
    }
}

/// Input that goes back to the previous question.
pub(super) const BACK: &str = "<";

/// Validates a text; the error is shown to the user.
pub type Validate<'a> = &'a dyn Fn(&str) -> Result<(), String>;

/// Source of answers.
pub trait Prompt {
    /// Shows a text.
    fn print(&mut self, text: &str);
    /// Prompts for a line of text; an invalid one is rejected with the reason and prompted again.
    fn text(&mut self, label: &str, default: Option<&str>, validate: Validate<'_>) -> Result<Reply, WizardError>;
    /// Prompts for a secret, without echo.
    fn secret(&mut self, label: &str) -> Result<Reply, WizardError>;
    /// Prompts for one option; the answer is its text.
    fn choose(&mut self, label: &str, options: &[String], default: usize) -> Result<Reply, WizardError>;
    /// Prompts for any number of options, each with its initial state; returns the indices, or `None` for "back".
    fn choose_some(&mut self, label: &str, options: &[(String, bool)]) -> Result<Option<Vec<usize>>, WizardError>;
    /// Writes a new file; an existing one is an error.
    fn save(&mut self, path: &Path, text: &str) -> io::Result<()>;
}

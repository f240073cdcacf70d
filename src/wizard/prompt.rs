//! Prompts on the terminal. Plain text without colours, for every theme and for screen readers.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use dialoguer::theme::SimpleTheme;
use dialoguer::{Input, MultiSelect, Password, Select};

use crate::foreign_text::printable;
use crate::wizard::WizardError;

/// Reply to a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A valid answer.
    Answer(String),
    /// `<`: back to the previous question.
    Back,
}

/// Input that goes back to the previous question.
const BACK: &str = "<";

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

/// dialoguer on stderr.
#[derive(Debug, Default)]
pub struct Terminal;

fn failed(error: dialoguer::Error) -> WizardError {
    let dialoguer::Error::IO(error) = error;
    match error.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof => WizardError::Interrupted,
        _ => WizardError::Terminal(error),
    }
}

fn reply(text: String) -> Reply {
    if text.trim() == BACK { Reply::Back } else { Reply::Answer(text.trim().to_owned()) }
}

impl Prompt for Terminal {
    fn print(&mut self, text: &str) {
        let columns = console::Term::stderr().size_checked().map_or(80, |(_, columns)| usize::from(columns));
        let indent = " ".repeat(text.trim_start_matches('\n').chars().take_while(|c| *c == ' ').count().min(20));
        let options = textwrap::Options::new(columns.clamp(40, 120)).subsequent_indent(&indent).break_words(false);
        let _ = io::stderr().write_all(printable(&(textwrap::fill(text, options) + "\n")).as_bytes());
    }

    fn text(&mut self, label: &str, default: Option<&str>, validate: Validate<'_>) -> Result<Reply, WizardError> {
        let mut input = Input::<String>::with_theme(&SimpleTheme)
            .with_prompt(label)
            // Validated, too: otherwise an empty answer is rejected without a reason.
            .allow_empty(true)
            .validate_with(|text: &String| if text.trim() == BACK { Ok(()) } else { validate(text.trim()) });
        if let Some(default) = default {
            input = input.default(default.to_owned());
        }
        input.interact_text().map(reply).map_err(failed)
    }

    fn secret(&mut self, label: &str) -> Result<Reply, WizardError> {
        Password::with_theme(&SimpleTheme).with_prompt(label).interact().map(reply).map_err(failed)
    }

    fn choose(&mut self, label: &str, options: &[String], default: usize) -> Result<Reply, WizardError> {
        let chosen = Select::with_theme(&SimpleTheme).with_prompt(label).items(options).default(default).interact_opt();
        // Escape and q mean "back".
        Ok(match chosen.map_err(failed)? {
            Some(index) => Reply::Answer(options[index].clone()),
            None => Reply::Back,
        })
    }

    fn choose_some(&mut self, label: &str, options: &[(String, bool)]) -> Result<Option<Vec<usize>>, WizardError> {
        let select = MultiSelect::with_theme(&SimpleTheme).with_prompt(label).items_checked(options.iter().cloned());
        select.interact_opt().map_err(failed)
    }

    fn save(&mut self, path: &Path, text: &str) -> io::Result<()> {
        File::create_new(path)?.write_all(text.as_bytes())
    }
}

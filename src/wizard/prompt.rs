//! How questions reach a person. Plain text without colour of its own: legible in every theme and to a screen
//! reader.

use std::io::Write as _;

use dialoguer::theme::SimpleTheme;
use dialoguer::{Input, MultiSelect, Password, Select};

use crate::wizard::WizardError;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An answer that was judged valid.
    Answer(String),
    /// `<`: to the question before.
    Back,
}

/// What goes to the question before.
const BACK: &str = "<";

/// Judges a text; the error is the reason for people.
pub type Judge<'a> = &'a dyn Fn(&str) -> Result<(), String>;

/// Somebody who can be asked.
pub trait Prompt {
    /// Tells something that is no question.
    fn say(&mut self, text: &str);
    /// A line of text; an invalid one is asked again with the reason.
    fn text(&mut self, label: &str, default: Option<&str>, judge: Judge<'_>) -> Result<Reply, WizardError>;
    /// A secret that is not shown while it is typed.
    fn secret(&mut self, label: &str) -> Result<Reply, WizardError>;
    /// One of some; the answer is its text.
    fn choose(&mut self, label: &str, options: &[String], default: usize) -> Result<Reply, WizardError>;
    /// Any number of some, each with whether it is chosen at first; the answer is their places, `None` is "back".
    fn choose_some(&mut self, label: &str, options: &[(String, bool)]) -> Result<Option<Vec<usize>>, WizardError>;
}

/// The terminal, by dialoguer, on stderr.
#[derive(Debug, Default)]
pub struct Terminal;

fn failed(error: dialoguer::Error) -> WizardError {
    let dialoguer::Error::IO(error) = error;
    match error.kind() {
        std::io::ErrorKind::Interrupted | std::io::ErrorKind::UnexpectedEof => WizardError::Interrupted,
        _ => WizardError::Terminal(error),
    }
}

fn reply(text: String) -> Reply {
    if text.trim() == BACK { Reply::Back } else { Reply::Answer(text.trim().to_owned()) }
}

impl Prompt for Terminal {
    fn say(&mut self, text: &str) {
        let columns = console::Term::stderr().size_checked().map_or(80, |(_, columns)| usize::from(columns));
        let indent = " ".repeat(text.trim_start_matches('\n').chars().take_while(|c| *c == ' ').count().min(20));
        let options = textwrap::Options::new(columns.clamp(40, 120)).subsequent_indent(&indent).break_words(false);
        let _ = writeln!(std::io::stderr(), "{}", textwrap::fill(text, options));
    }

    fn text(&mut self, label: &str, default: Option<&str>, judge: Judge<'_>) -> Result<Reply, WizardError> {
        let mut input = Input::<String>::with_theme(&SimpleTheme)
            .with_prompt(label)
            .validate_with(|text: &String| if text.trim() == BACK { Ok(()) } else { judge(text.trim()) });
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
        // Escape and q are "back" here.
        Ok(match chosen.map_err(failed)? {
            Some(index) => Reply::Answer(options[index].clone()),
            None => Reply::Back,
        })
    }

    fn choose_some(&mut self, label: &str, options: &[(String, bool)]) -> Result<Option<Vec<usize>>, WizardError> {
        let asked = MultiSelect::with_theme(&SimpleTheme).with_prompt(label).items_checked(options.iter().cloned());
        asked.interact_opt().map_err(failed)
    }
}

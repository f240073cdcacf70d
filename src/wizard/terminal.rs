//! Prompts on the terminal. Plain text without colours, for every theme and for screen readers.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use console::Term;
use dialoguer::theme::SimpleTheme;
use dialoguer::{Input, MultiSelect, Password, Select};

use crate::foreign_text::printable;
use crate::terminal::is_sequential;
use crate::wizard::prompt::{BACK, Prompt, Reply, Validate};
use crate::wizard::{WizardError, sequential};

/// dialoguer on stderr, or line by line without a cursor.
#[derive(Debug, Default)]
pub struct Terminal;

fn failed(dialoguer::Error::IO(error): dialoguer::Error) -> WizardError {
    error.into()
}

impl Prompt for Terminal {
    fn print(&mut self, text: &str) {
        let columns = Term::stderr().size_checked().map_or(80, |(_, columns)| usize::from(columns));
        let indent = " ".repeat(text.trim_start_matches('\n').chars().take_while(|c| *c == ' ').count().min(20));
        let options = textwrap::Options::new(columns.clamp(40, 120)).subsequent_indent(&indent).break_words(false);
        let _ = io::stderr().write_all(printable(&(textwrap::fill(text, options) + "\n")).as_bytes());
    }

    fn text(&mut self, label: &str, default: Option<&str>, validate: Validate<'_>) -> Result<Reply, WizardError> {
        if is_sequential() {
            return sequential::text(&mut Term::stderr(), label, default, validate);
        }
        let mut input = Input::<String>::with_theme(&SimpleTheme)
            .with_prompt(label)
            // Validated, too: otherwise an empty answer is rejected without a reason.
            .allow_empty(true)
            .validate_with(|text: &String| if text.trim() == BACK { Ok(()) } else { validate(text.trim()) });
        if let Some(default) = default {
            input = input.default(default.to_owned());
        }
        input.interact_text().map(|line| Reply::of(&line)).map_err(failed)
    }

    fn secret(&mut self, label: &str) -> Result<Reply, WizardError> {
        if is_sequential() {
            return sequential::secret(&mut Term::stderr(), label);
        }
        Password::with_theme(&SimpleTheme).with_prompt(label).interact().map(|line| Reply::of(&line)).map_err(failed)
    }

    fn choose(&mut self, label: &str, options: &[String], default: usize) -> Result<Reply, WizardError> {
        if is_sequential() {
            return sequential::choose(&mut Term::stderr(), label, options, default);
        }
        let chosen = Select::with_theme(&SimpleTheme).with_prompt(label).items(options).default(default).interact_opt();
        // Escape and q mean "back".
        Ok(match chosen.map_err(failed)? {
            Some(index) => Reply::Answer(options[index].clone()),
            None => Reply::Back,
        })
    }

    fn choose_some(&mut self, label: &str, options: &[(String, bool)]) -> Result<Option<Vec<usize>>, WizardError> {
        if is_sequential() {
            return sequential::choose_some(&mut Term::stderr(), label, options);
        }
        let label = format!("{label} (space toggles, Enter confirms)");
        let select = MultiSelect::with_theme(&SimpleTheme).with_prompt(label).items_checked(options.iter().cloned());
        select.interact_opt().map_err(failed)
    }

    fn save(&mut self, path: &Path, text: &str) -> io::Result<()> {
        File::create_new(path)?.write_all(text.as_bytes())
    }
}

//! Prompts with scripted replies, for tests.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use crate::wizard::WizardError;
use crate::wizard::prompt::{Prompt, Reply, Validate};

/// Replies from a list; after an invalid one the reason is recorded and the next one is used.
#[derive(Default)]
pub(super) struct Scripted {
    replies: VecDeque<&'static str>,
    pub(super) said: Vec<String>,
    pub(super) asked: Vec<String>,
    /// Files by path.
    pub(super) saved: BTreeMap<PathBuf, String>,
}

impl Scripted {
    fn next(&mut self, label: &str, default: Option<&str>) -> Result<Reply, WizardError> {
        self.asked.push(label.to_owned());
        Ok(match self.replies.pop_front().ok_or(WizardError::Interrupted)? {
            "<" => Reply::Back,
            "" => Reply::Answer(default.unwrap_or_default().to_owned()),
            text => Reply::Answer(text.to_owned()),
        })
    }
}

impl Prompt for Scripted {
    fn print(&mut self, text: &str) {
        self.said.push(text.to_owned());
    }

    fn text(&mut self, label: &str, default: Option<&str>, validate: Validate<'_>) -> Result<Reply, WizardError> {
        loop {
            match self.next(label, default)? {
                Reply::Answer(text) => match validate(&text) {
                    Ok(()) => return Ok(Reply::Answer(text)),
                    Err(reason) => self.said.push(reason),
                },
                back @ Reply::Back => return Ok(back),
            }
        }
    }

    fn secret(&mut self, label: &str) -> Result<Reply, WizardError> {
        self.next(label, None)
    }

    fn choose(&mut self, label: &str, options: &[String], default: usize) -> Result<Reply, WizardError> {
        self.next(label, Some(&options[default]))
    }

    fn save(&mut self, path: &Path, text: &str) -> io::Result<()> {
        match self.saved.insert(path.to_owned(), text.to_owned()) {
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            None => Ok(()),
        }
    }

    /// The indices, separated by commas.
    fn choose_some(&mut self, label: &str, options: &[(String, bool)]) -> Result<Option<Vec<usize>>, WizardError> {
        let chosen = options.iter().enumerate().filter(|(_, (_, chosen))| *chosen).map(|(at, _)| at.to_string());
        self.said.extend(options.iter().map(|(text, _)| text.clone()));
        Ok(match self.next(label, Some(&chosen.collect::<Vec<_>>().join(",")))? {
            Reply::Answer(text) => Some(text.split(',').filter_map(|at| at.parse().ok()).collect()),
            Reply::Back => None,
        })
    }
}

pub(super) fn scripted(replies: &[&'static str]) -> Scripted {
    Scripted { replies: replies.iter().copied().collect(), ..Scripted::default() }
}

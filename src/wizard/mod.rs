//! Prompts for answers: a table of questions and one loop with defaults, validation, a step back and a review. Depends only on
//! the configuration; facts of the cluster and this machine are passed as [`Detected`].

mod detected;
mod error;
mod prompt;
mod questions;
#[cfg(test)]
mod scripted;
mod sections;
mod sequential;
mod summary;
mod terminal;
mod upgrades;

use crate::config::Draft;
use crate::wizard::questions::{ask_each, asked_by};
use crate::wizard::summary::summary;

pub use detected::Detected;
pub use error::WizardError;
pub use prompt::{Prompt, Reply};
pub use questions::Scope;
pub use terminal::Terminal;
pub use upgrades::{Trust, UpgradeChoice, choose_upgrades};

/// Asks the questions until each has a valid answer in the draft.
pub fn ask(draft: &mut Draft, detected: &Detected, scope: Scope, prompt: &mut dyn Prompt) -> Result<(), WizardError> {
    let all = asked_by(scope, draft, detected);
    if all.is_empty() {
        return Ok(());
    }
    let mut asked = if scope == Scope::Review { asked_by(Scope::OnlyMissing, draft, detected) } else { all.clone() };
    if !asked.is_empty() {
        prompt.print("Enter accepts the value in brackets, < goes back, Ctrl-C stops. Nothing is changed before you confirm the plan.");
    }
    loop {
        ask_each(&asked, draft, detected, prompt)?;
        if scope == Scope::OnlyMissing {
            return Ok(());
        }
        match summary(&all, draft, detected, prompt)? {
            false => asked.clone_from(&all),
            // Another issuer or client needs another secret.
            true => asked = asked_by(Scope::OnlyMissing, draft, detected),
        }
        if asked.is_empty() {
            return Ok(());
        }
    }
}

/// Prompts for the context; with fewer than two, the kubeconfig's current context is used.
pub fn choose_context(
    prompt: &mut dyn Prompt,
    contexts: &[String],
    current: Option<&str>,
) -> Result<Option<String>, WizardError> {
    if contexts.len() < 2 {
        return Ok(None);
    }
    let default = contexts.iter().position(|name| Some(name.as_str()) == current).unwrap_or(0);
    match prompt.choose("Cluster (kubeconfig context)", contexts, default)? {
        Reply::Answer(name) => Ok(Some(name)),
        Reply::Back => Err(WizardError::Interrupted),
    }
}

/// A yes-or-no question; the default is no.
pub fn confirm(prompt: &mut dyn Prompt, question: &str) -> Result<bool, WizardError> {
    let validate = |text: &str| match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "n" | "no" => Ok(()),
        _ => Err("answer yes or no".to_owned()),
    };
    match prompt.text(question, Some("no"), &validate)? {
        Reply::Answer(text) => Ok(matches!(text.to_ascii_lowercase().as_str(), "y" | "yes")),
        Reply::Back => Ok(false),
    }
}

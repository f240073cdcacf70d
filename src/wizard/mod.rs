//! Questions as rows; one loop that asks, defaults, validates and goes back. Knows only the configuration: what the
//! cluster and this machine offer comes in as [`Detected`].

mod detected;
mod error;
mod prompt;
mod questions;
#[cfg(test)]
mod scripted;
mod upgrades;

pub use detected::Detected;
pub use error::WizardError;
pub use prompt::{Prompt, Reply, Terminal};
pub use questions::{Scope, ask};
pub use upgrades::{Trust, UpgradeChoice, choose_upgrades};

/// Asks which context to use; none to choose from leaves the choice to the kubeconfig.
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
    let judge = |text: &str| match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "n" | "no" => Ok(()),
        _ => Err("answer yes or no".to_owned()),
    };
    match prompt.text(question, Some("no"), &judge)? {
        Reply::Answer(text) => Ok(matches!(text.to_ascii_lowercase().as_str(), "y" | "yes")),
        Reply::Back => Ok(false),
    }
}

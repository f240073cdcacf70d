//! The choice of upgrades.

use crate::config::ComponentName;
use crate::wizard::{Prompt, WizardError};

/// A newer version of a component.
#[derive(Clone, Debug)]
pub struct UpgradeChoice {
    /// Component.
    pub component: ComponentName,
    /// Installed chart version.
    pub from: semver::Version,
    /// The newer chart version.
    pub to: semver::Version,
    /// Whether its upgrade path was tried.
    pub trust: Trust,
}

/// Whether the upgrade path of a version was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The major was tried; selected initially.
    Tried,
    /// The major was never tried; not selected initially.
    Untried,
}

/// Prompts for the upgrades; returns the selected ones, maybe none.
pub fn choose_upgrades(
    prompt: &mut dyn Prompt,
    choices: Vec<UpgradeChoice>,
) -> Result<Vec<UpgradeChoice>, WizardError> {
    let widest = choices.iter().map(|choice| choice.component.as_str().len()).max().unwrap_or_default();
    let option = |choice: &UpgradeChoice| {
        let UpgradeChoice { component, from, to, trust } = choice;
        let untried = if *trust == Trust::Untried { ", an untested major version" } else { "" };
        (format!("{:widest$}  {from} -> {to}{untried}", component.as_str()), *trust == Trust::Tried)
    };
    let options: Vec<(String, bool)> = choices.iter().map(option).collect();
    let Some(chosen) = prompt.choose_some("Select upgrades", &options)? else { return Err(WizardError::Interrupted) };
    Ok(choices.into_iter().enumerate().filter(|(at, _)| chosen.contains(at)).map(|(_, choice)| choice).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wizard::scripted::scripted;

    fn choice(component: &str, to: &str, trust: Trust) -> UpgradeChoice {
        UpgradeChoice {
            component: component.parse().unwrap(),
            from: "1.0.0".parse().unwrap(),
            to: to.parse().unwrap(),
            trust,
        }
    }

    fn chosen(reply: &'static str) -> Result<Vec<String>, WizardError> {
        let choices = vec![
            choice("loki", "1.5.0", Trust::Tried),
            choice("loki", "9.0.0", Trust::Untried),
            choice("alloy", "1.1.0", Trust::Tried),
        ];
        let mut prompt = scripted(&[reply]);
        let chosen = choose_upgrades(&mut prompt, choices)?;
        assert_eq!(prompt.said[1], "loki   1.0.0 -> 9.0.0, an untested major version");
        Ok(chosen.iter().map(|choice| format!("{}={}", choice.component, choice.to)).collect())
    }

    #[test]
    fn tried_versions_are_selected_initially() {
        assert_eq!(chosen("").unwrap(), ["loki=1.5.0", "alloy=1.1.0"]);
        assert_eq!(chosen("1").unwrap(), ["loki=9.0.0"]);
        assert!(chosen("none").unwrap().is_empty());
        assert!(matches!(chosen("<"), Err(WizardError::Interrupted)));
    }
}

//! Which of the newer versions are wanted.

use crate::config::ComponentName;
use crate::wizard::{Prompt, WizardError};

/// A newer version that somebody may want.
#[derive(Clone, Debug)]
pub struct UpgradeChoice {
    /// Component.
    pub component: ComponentName,
    /// Chart version that stands.
    pub from: semver::Version,
    /// The newer one.
    pub to: semver::Version,
    /// How far its way is known.
    pub trust: Trust,
}

/// How far the way to a version is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Its major was tried; it is chosen unless somebody takes it out.
    Tried,
    /// Its major was never tried; it is chosen only by whoever picks it.
    Untried,
}

/// Asks which of them are wanted; may be none.
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
    let label = "Select upgrades (space toggles, Enter confirms)";
    let Some(chosen) = prompt.choose_some(label, &options)? else { return Err(WizardError::Interrupted) };
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
    fn what_was_tried_is_chosen_at_first_and_anything_may_be() {
        assert_eq!(chosen("").unwrap(), ["loki=1.5.0", "alloy=1.1.0"]);
        assert_eq!(chosen("1").unwrap(), ["loki=9.0.0"]);
        assert!(chosen("none").unwrap().is_empty());
        assert!(matches!(chosen("<"), Err(WizardError::Interrupted)));
    }
}

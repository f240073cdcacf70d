//! The chart versions of an upgrade: those of the flags, of the prompt, and what they set.

use semver::Version;

use crate::cli::UpgradeArgs;
use crate::config::{Draft, Provenance};
use crate::error::Error;
use crate::event::UpgradeRow;
use crate::plan::{Offer, PlanError};
use crate::stack::Catalogue;
use crate::wizard::{self, Trust, UpgradeChoice};
use crate::workflow::available_versions::Versions;

/// `--to COMPONENT=VERSION`; for a repeated component the last one counts.
pub(crate) fn named_versions(to: &[String]) -> Result<Versions, Error> {
    let rejected =
        |text: &str, expected: String| Error::Usage { message: format!("--to {text}"), hint: Some(expected) };
    let read = |text: &String| {
        let Some((name, number)) = text.split_once('=') else {
            return Err(rejected(text, "expected COMPONENT=VERSION, such as loki=6.55.0".into()));
        };
        let component = name.trim().parse().map_err(|invalid| rejected(text, format!("{invalid}")))?;
        let version = Version::parse(number.trim().trim_start_matches('v'));
        let version =
            version.map_err(|_| rejected(text, format!("{number:?} is not a chart version such as 6.55.0")))?;
        Ok((component, version))
    };
    to.iter().map(read).collect()
}

/// The components to query; with `--to` alone only its components, so that other repositories need not answer.
pub(crate) fn queried(installed: &Versions, named: &Versions, arguments: &UpgradeArgs) -> Versions {
    let all = arguments.latest || named.is_empty();
    let queried = installed.iter().filter(|(component, _)| all || named.contains_key(*component));
    queried.map(|(component, version)| (component.clone(), version.clone())).collect()
}

/// `--latest`, except for the components of `--to`.
pub(crate) fn add_newest(chosen: &mut Versions, offers: &[Offer], untried_too: bool) {
    for offer in offers {
        let newest = offer.untried().filter(|_| untried_too).or(offer.proposed());
        if let Some(newest) = newest {
            chosen.entry(offer.component.clone()).or_insert_with(|| newest.clone());
        }
    }
}

/// The versions of `--to`; an error if one is not available, not installed or a downgrade.
pub(crate) fn checked_versions(offers: &[Offer], named: Versions, draft: &Draft) -> Result<Versions, Error> {
    for (component, version) in &named {
        let Some(offer) = offers.iter().find(|offer| offer.component == *component) else {
            return Err(Error::Usage {
                message: format!("{component} is not installed in namespace {}", draft.namespace()),
                hint: Some("`tailwatch status` shows what is installed".into()),
            });
        };
        if *version < offer.installed {
            let (component, installed, requested) = (component.to_string(), offer.installed.clone(), version.clone());
            return Err(PlanError::Downgrade { component, installed, requested }.into());
        }
        if *version != offer.installed && !offer.has(version) {
            let near: Vec<String> = offer.nearest(version).iter().map(ToString::to_string).collect();
            let hint = if near.is_empty() {
                "the repository has no version".into()
            } else {
                format!("nearest: {}", near.join(", "))
            };
            return Err(Error::Usage {
                message: format!("the repository has no {component} {version}"),
                hint: Some(hint),
            });
        }
    }
    Ok(named)
}

/// One row per offer; without a choice the proposal is the target.
pub(crate) fn rows(offers: &[Offer], chosen: Option<&Versions>) -> Vec<UpgradeRow> {
    let target = |offer: &Offer| match chosen {
        Some(chosen) => offer.row(chosen.get(&offer.component)),
        None => offer.row(offer.proposed()),
    };
    offers.iter().map(target).collect()
}

/// Prompts for the upgrades, if there are any.
pub(crate) fn choose(offers: &[Offer]) -> Result<Versions, Error> {
    let choice = |offer: &Offer| {
        let (to, trust) = match (offer.proposed(), offer.untried()) {
            (Some(version), _) => (version, Trust::Tried),
            (None, Some(version)) => (version, Trust::Untried),
            (None, None) => return None,
        };
        let (component, from, to) = (offer.component.clone(), offer.installed.clone(), to.clone());
        Some(UpgradeChoice { component, from, to, trust })
    };
    let choices: Vec<UpgradeChoice> = offers.iter().filter_map(choice).collect();
    if choices.is_empty() {
        return Ok(Versions::new());
    }
    let mut prompt = wizard::Terminal;
    let chosen = tokio::task::block_in_place(|| wizard::choose_upgrades(&mut prompt, choices))?;
    Ok(chosen.into_iter().map(|choice| (choice.component, choice.to)).collect())
}

/// Sets the chosen versions as answers. Other components keep their installed version unless the answers set one: the
/// default of a newer catalogue would upgrade them, too.
pub(crate) fn set_versions(draft: &mut Draft, catalogue: &Catalogue, installed: &Versions, chosen: Versions) {
    for (component, default) in catalogue.versions() {
        let current = installed.get(component).filter(|version| *version != default);
        let kept = current.filter(|_| draft.version(component).is_none());
        match (chosen.get(component), kept) {
            (Some(version), _) => draft.set_version(component.clone(), version.clone(), Provenance::Flag("upgrade")),
            (None, Some(version)) => draft.set_version(component.clone(), version.clone(), Provenance::Detected),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error;

    #[test]
    fn versions_are_parsed_or_rejected_with_a_hint() {
        let read = |text: &str| named_versions(&[text.to_owned()]);
        let loki = read("loki=v6.55.0").unwrap();
        assert_eq!(loki.iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>(), ["loki 6.55.0"]);
        for (text, hint) in [
            ("loki", "COMPONENT=VERSION"),
            ("lokki=1.0.0", "did you mean loki?"),
            ("loki=newest", "not a chart version"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.exit_code(), error::USAGE);
            assert!(error.hint().unwrap().contains(hint), "{text}: {:?}", error.hint());
        }
    }

    #[test]
    fn components_without_a_choice_keep_their_version() {
        let catalogue = Catalogue::embedded().unwrap();
        let versions = |rows: &[(&str, &str)]| -> Versions {
            rows.iter().map(|(name, number)| (name.parse().unwrap(), number.parse().unwrap())).collect()
        };
        let installed = versions(&[("loki", "6.46.0"), ("alloy", "1.3.0"), ("oauth2-proxy", "10.7.0")]);
        let mut draft = Draft::default();
        set_versions(&mut draft, &catalogue, &installed, versions(&[("loki", "6.55.0")]));
        let version_of = |name: &str| draft.version(&name.parse().unwrap()).map(ToString::to_string);
        assert_eq!(version_of("loki").unwrap(), "6.55.0");
        assert_eq!(version_of("alloy").unwrap(), "1.3.0", "the catalogue's 1.4.0 was not chosen");
        assert_eq!(version_of("oauth2-proxy"), None, "installed with the catalogue's version");
    }
}

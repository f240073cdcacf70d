//! `tailwatch upgrade`: which newer chart versions there are, what they change, and the way to those that are chosen,
//! which is an install that asks for them.

use semver::Version;
use serde::Serialize;

use crate::cli::{GlobalArgs, Output, UpgradeArgs};
use crate::commands::available_versions::{self, Versions};
use crate::commands::connect::{self, Connected, Target};
use crate::commands::install::{self, Secrets};
use crate::commands::interactive::Audience;
use crate::commands::saved_answers;
use crate::commands::signals::Signals;
use crate::config::{Draft, Provenance};
use crate::error::{self, Error};
use crate::event::UpgradeRow;
use crate::plan::{Offer, PlanError};
use crate::report::{self, Record, style::Style};
use crate::stack::Catalogue;
use crate::wizard::{self, Scope, Trust, UpgradeChoice};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UpgradeDocument {
    version: u8,
    context: Option<String>,
    namespace: String,
    components: Vec<UpgradeRow>,
}

pub(super) async fn upgrade(
    global: &GlobalArgs,
    arguments: &UpgradeArgs,
    signals: &Signals,
    record: &Record,
) -> Result<u8, Error> {
    let named = named_versions(&arguments.to)?;
    let options = install::options("upgrade", &arguments.run, (signals, record))?;
    let draft = saved_answers::judged(global, &arguments.run.settings)?;
    let asked = arguments.latest || !named.is_empty();
    if asked {
        install::somebody_confirms(global, &arguments.run)?;
    }
    report::notices(draft.notices(), global);
    let audience = Audience::of(global);
    let Connected { target, draft, .. } = connect::connect(global, &draft, signals.writes()).await?;
    let mut draft = draft?;
    if asked || audience == Audience::Person {
        saved_answers::confirm(global, &arguments.run, &draft)?;
    } else if !arguments.run.settings.accept_saved {
        saved_answers::repository_confirmed(draft.unconfirmed())?;
    }
    let Target { cluster, helm, catalogue } = &target;
    let standing =
        connect::of_one_cluster(cluster, available_versions::standing((cluster, helm), catalogue, &draft)).await?;
    let offers = available_versions::offers(helm, catalogue, &draft, looked_at(&standing, &named, arguments)).await?;
    let mut chosen = named_and_offered(&offers, named, &draft)?;
    if arguments.latest {
        add_newest(&mut chosen, &offers, options.allow_unverified);
    }
    let rows = rows(&offers, asked.then_some(&chosen));
    let style = Style::resolve(global);
    if !asked && audience == Audience::Nobody {
        let (context, namespace) = (cluster.context().map(str::to_owned), available_versions::namespace(&draft));
        list(global, UpgradeDocument { version: 1, context, namespace, components: rows });
        return Ok(error::OK);
    }
    if global.output == Output::Human && !global.quiet {
        report::write_stderr(&report::upgrade_table(&rows, &style, report::width()));
    }
    if !asked {
        chosen = choose(&offers)?;
        if chosen.is_empty() {
            report::notice("nothing is chosen, nothing was changed", &style);
            return Ok(error::OK);
        }
    }
    tell_what_the_file_asks(&draft, &chosen, arguments, &style);
    ask_for(&mut draft, catalogue, &standing, chosen);
    if audience == Audience::Person {
        install::ask((cluster, helm.environment()), &mut draft, Scope::OnlyMissing, Secrets::of(&arguments.run))
            .await?;
    }
    install::carry_out(global, &target, &draft.finish()?, options).await
}

/// `--to COMPONENT=VERSION`; the last of a component counts.
fn named_versions(to: &[String]) -> Result<Versions, Error> {
    let wrong = |text: &str, expected: String| Error::Usage { message: format!("--to {text}"), hint: Some(expected) };
    let read = |text: &String| {
        let Some((name, number)) = text.split_once('=') else {
            return Err(wrong(text, "write it as COMPONENT=VERSION, such as loki=6.55.0".into()));
        };
        let component = name.trim().parse().map_err(|invalid| wrong(text, format!("{invalid}")))?;
        let version = Version::parse(number.trim().trim_start_matches('v'));
        let version =
            version.map_err(|_| wrong(text, format!("{number:?} is no chart version; expected one such as 6.55.0")))?;
        Ok((component, version))
    };
    to.iter().map(read).collect()
}

/// Where some are named and nothing else is asked, the repositories of others need not answer.
fn looked_at(standing: &Versions, named: &Versions, arguments: &UpgradeArgs) -> Versions {
    let all = arguments.latest || named.is_empty();
    let asked = standing.iter().filter(|(component, _)| all || named.contains_key(*component));
    asked.map(|(component, version)| (component.clone(), version.clone())).collect()
}

/// `--latest`: what was named stays.
fn add_newest(chosen: &mut Versions, offers: &[Offer], untried_too: bool) {
    for offer in offers {
        let newest = offer.untried().filter(|_| untried_too).or(offer.proposed());
        if let Some(newest) = newest {
            chosen.entry(offer.component.clone()).or_insert_with(|| newest.clone());
        }
    }
}

/// An answers file with an older version would fail as a downgrade in the next run.
fn tell_what_the_file_asks(draft: &Draft, chosen: &Versions, arguments: &UpgradeArgs, style: &Style) {
    let Some(file) = &arguments.run.settings.answers else { return };
    for (component, version) in chosen {
        if let Some(asked) = draft.version(component).filter(|asked| *asked != version) {
            let file = file.display();
            report::notice(&format!("{component} {asked} is asked for so far; write {version} into {file}"), style);
        }
    }
}

/// What was named, if it is there and no step back.
fn named_and_offered(offers: &[Offer], named: Versions, draft: &Draft) -> Result<Versions, Error> {
    for (component, version) in &named {
        let Some(offer) = offers.iter().find(|offer| offer.component == *component) else {
            return Err(Error::Usage {
                message: format!("{component} is not installed in namespace {}", available_versions::namespace(draft)),
                hint: Some("`tailwatch status` shows what is installed".into()),
            });
        };
        if *version < offer.installed {
            let (component, installed, requested) = (component.to_string(), offer.installed.clone(), version.clone());
            return Err(PlanError::Downgrade { component, installed, requested }.into());
        }
        if *version != offer.installed && !offer.has(version) {
            let near: Vec<String> = offer.nearest(version).iter().map(ToString::to_string).collect();
            let hint =
                if near.is_empty() { "it offers none at all".into() } else { format!("near it: {}", near.join(", ")) };
            return Err(Error::Usage {
                message: format!("the repository offers no {component} {version}"),
                hint: Some(hint),
            });
        }
    }
    Ok(named)
}

/// One row an offer; without a choice the proposal is the target.
fn rows(offers: &[Offer], chosen: Option<&Versions>) -> Vec<UpgradeRow> {
    let target = |offer: &Offer| match chosen {
        Some(chosen) => offer.row(chosen.get(&offer.component)),
        None => offer.row(offer.proposed()),
    };
    offers.iter().map(target).collect()
}

fn list(global: &GlobalArgs, document: UpgradeDocument) {
    match global.output {
        Output::Json => report::json_document(&document),
        Output::Human => {
            let table = report::upgrade_table(&document.components, &Style::resolve(global), report::width());
            report::write_stdout(&table);
        }
    }
}

/// Asks a person, if there is anything to choose.
fn choose(offers: &[Offer]) -> Result<Versions, Error> {
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

/// The chosen versions become answers. Other components keep their installed version, unless the answers set one of
/// it: a newer catalogue's default would move it, too.
fn ask_for(draft: &mut Draft, catalogue: &Catalogue, standing: &Versions, chosen: Versions) {
    for (component, default) in catalogue.versions() {
        let stands = standing.get(component).filter(|version| *version != default);
        let kept = stands.filter(|_| draft.version(component).is_none());
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

    #[test]
    fn what_is_named_is_read_or_refused_with_what_was_meant() {
        let read = |text: &str| named_versions(&[text.to_owned()]);
        let loki = read("loki=v6.55.0").unwrap();
        assert_eq!(loki.iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>(), ["loki 6.55.0"]);
        for (text, hint) in
            [("loki", "COMPONENT=VERSION"), ("lokki=1.0.0", "did you mean loki?"), ("loki=newest", "no chart version")]
        {
            let error = read(text).unwrap_err();
            assert_eq!(error.exit_code(), error::USAGE);
            assert!(error.hint().unwrap().contains(hint), "{text}: {:?}", error.hint());
        }
    }

    #[test]
    fn what_was_not_chosen_stays_as_it_is() {
        let catalogue = Catalogue::embedded().unwrap();
        let versions = |rows: &[(&str, &str)]| -> Versions {
            rows.iter().map(|(name, number)| (name.parse().unwrap(), number.parse().unwrap())).collect()
        };
        let standing = versions(&[("loki", "6.46.0"), ("alloy", "1.3.0"), ("oauth2-proxy", "10.7.0")]);
        let mut draft = Draft::default();
        ask_for(&mut draft, &catalogue, &standing, versions(&[("loki", "6.55.0")]));
        let asked = |name: &str| draft.version(&name.parse().unwrap()).map(ToString::to_string);
        assert_eq!(asked("loki").unwrap(), "6.55.0");
        assert_eq!(asked("alloy").unwrap(), "1.3.0", "the catalogue's 1.4.0 was not chosen");
        assert_eq!(asked("oauth2-proxy"), None, "installed with the catalogue's version");
    }
}

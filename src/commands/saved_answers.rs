//! Answers with those that an earlier run kept in the cluster, and who has to agree to what changed there since.

use crate::cli::{GlobalArgs, InstallArgs, SettingsArgs};
use crate::cluster::Cluster;
use crate::commands::interactive::Audience;
use crate::commands::settings_sources::settings_sources;
use crate::config::{self, Draft, SavedState, Settings, Unconfirmed};
use crate::error::Error;
use crate::report::{self, style::Style};
use crate::wizard;

/// What the cluster keeps of the last run's answers.
pub(super) async fn state(draft: &Draft, cluster: &Cluster) -> Result<Option<SavedState>, Error> {
    let namespace = draft.text("namespace").map_or_else(String::new, |(text, _)| text);
    Ok(cluster.saved_state(&namespace).await?)
}

/// Answers from all sources but prompts and the cluster. Invalid ones are reported before any request.
pub(super) fn judged(global: &GlobalArgs, arguments: &SettingsArgs) -> Result<Draft, Error> {
    let draft = config::load(&settings_sources(global, arguments))?;
    if draft.missing().is_empty() {
        draft.finish()?;
    }
    Ok(draft)
}

/// The answers of a command that changes nothing.
pub(super) struct Answers {
    pub(super) settings: Settings,
    /// What to know of the sources.
    pub(super) notices: Vec<String>,
    /// Security-bearing answers that changed in the cluster since the last run, unless they were agreed to.
    pub(super) unconfirmed: Vec<Unconfirmed>,
}

impl Answers {
    /// An error if saved security-bearing answers were changed.
    pub(super) fn confirmed(&self) -> Result<(), Error> {
        refuse(&self.unconfirmed)
    }

    /// An error if the saved chart repository was changed: a plan fetches charts from it.
    pub(super) fn repository_confirmed(&self) -> Result<(), Error> {
        repository_confirmed(self.unconfirmed.clone())
    }
}

/// Answers from all sources but prompts.
pub(super) fn answers(draft: &Draft, arguments: &SettingsArgs) -> Result<Answers, Error> {
    let changed = draft.unconfirmed();
    let mut notices = draft.notices().to_vec();
    notices.extend(changed.iter().map(in_words));
    let unconfirmed = if arguments.accept_saved { Vec::new() } else { changed };
    Ok(Answers { settings: draft.finish()?, notices, unconfirmed })
}

/// Before anything is planned from them or sent anywhere: what changed in the cluster since the last run is shown, and
/// used only with `--accept-saved` or after a prompt. `--yes` confirms the plan alone.
pub(super) fn confirm(global: &GlobalArgs, arguments: &InstallArgs, draft: &Draft) -> Result<(), Error> {
    let changed = draft.unconfirmed();
    if changed.is_empty() {
        return Ok(());
    }
    let style = Style::resolve(global);
    if arguments.settings.accept_saved {
        changed.iter().for_each(|one| report::notice(&in_words(one), &style));
        return Ok(());
    }
    if arguments.yes || Audience::of(global) == Audience::Nobody {
        return refuse(&changed);
    }
    // They are part of the question, so that they are shown whatever else is silent.
    let lines: String = changed.iter().map(|one| format!("  {one}\n")).collect();
    report::write_stderr(&format!("Changed in the saved answers since the last run:\n{lines}"));
    let question = "Take these saved answers?";
    match tokio::task::block_in_place(|| wizard::confirm(&mut wizard::Terminal, question))? {
        true => Ok(()),
        false => Err(Error::Declined),
    }
}

/// The same of what changed in the cluster.
pub(super) fn repository_confirmed(mut changed: Vec<Unconfirmed>) -> Result<(), Error> {
    changed.retain(|one| one.key == "charts.repository");
    refuse(&changed)
}

fn refuse(changed: &[Unconfirmed]) -> Result<(), Error> {
    match changed {
        [] => Ok(()),
        _ => Err(Error::SavedAnswersChanged { changed: changed.iter().map(ToString::to_string).collect() }),
    }
}

fn in_words(changed: &Unconfirmed) -> String {
    format!("saved answers changed since the last run: {changed}")
}

//! The saved answers of the last run, and the confirmation of changes to them since.

use crate::cli::{InstallArgs, SettingsArgs};
use crate::cluster::Cluster;
use crate::commands::settings_sources::settings_sources;
use crate::config::{self, Draft, SavedState, Settings, Unconfirmed};
use crate::error::Error;
use crate::report::Interaction;
use crate::session::Session;
use crate::wizard;

/// Reads the saved answers.
pub(super) async fn state(draft: &Draft, cluster: &Cluster) -> Result<Option<SavedState>, Error> {
    let namespace = draft.text("namespace").map_or_else(String::new, |(text, _)| text);
    Ok(cluster.saved_state(&namespace).await?)
}

/// Answers from flags, file and environment. Invalid ones are reported before any request.
pub(super) fn load(session: &Session, arguments: &SettingsArgs) -> Result<Draft, Error> {
    let draft = config::load(&settings_sources(session, arguments))?;
    if draft.missing().is_empty() {
        draft.finish()?;
    }
    Ok(draft)
}

/// The answers of a command that changes nothing.
pub(super) struct Answers {
    pub(super) settings: Settings,
    /// Notices about the sources.
    pub(super) notices: Vec<String>,
    /// Unconfirmed changes of security-bearing saved answers since the last run.
    pub(super) unconfirmed: Vec<Unconfirmed>,
}

impl Answers {
    /// An error if saved security-bearing answers were changed.
    pub(super) fn confirmed(&self) -> Result<(), Error> {
        require_unchanged(&self.unconfirmed)
    }

    /// An error if the saved chart repository was changed: a plan fetches charts from it.
    pub(super) fn repository_confirmed(&self) -> Result<(), Error> {
        repository_confirmed(self.unconfirmed.clone())
    }
}

/// Settings from all sources except prompts.
pub(super) fn answers(draft: &Draft, arguments: &SettingsArgs) -> Result<Answers, Error> {
    let changed = draft.unconfirmed();
    let mut notices = draft.notices().to_vec();
    notices.extend(changed.iter().map(notice_text));
    let unconfirmed = if arguments.accept_saved { Vec::new() } else { changed };
    Ok(Answers { settings: draft.finish()?, notices, unconfirmed })
}

/// Shows security-bearing saved answers that changed since the last run, before they are used. They need
/// `--accept-saved` or a prompt; `--yes` confirms only the plan.
pub(super) fn confirm(session: &Session, arguments: &InstallArgs, draft: &Draft) -> Result<(), Error> {
    let changed = draft.unconfirmed();
    if changed.is_empty() {
        return Ok(());
    }
    if arguments.settings.accept_saved {
        session.notices(&changed.iter().map(notice_text).collect::<Vec<_>>());
        return Ok(());
    }
    if arguments.yes || session.ui.interaction() == Interaction::None {
        return require_unchanged(&changed);
    }
    // Part of the question: also shown with `--quiet`.
    let lines: String = changed.iter().map(|one| format!("  {one}\n")).collect();
    session.ui.message(|_, _| format!("Changed in the saved answers since the last run:\n{lines}"));
    let question = "Use these saved answers?";
    match tokio::task::block_in_place(|| wizard::confirm(&mut wizard::Terminal, question))? {
        true => Ok(()),
        false => Err(Error::Declined),
    }
}

/// An error if the chart repository is among the changes.
pub(super) fn repository_confirmed(mut changed: Vec<Unconfirmed>) -> Result<(), Error> {
    changed.retain(|one| one.key == "charts.repository");
    require_unchanged(&changed)
}

fn require_unchanged(changed: &[Unconfirmed]) -> Result<(), Error> {
    match changed {
        [] => Ok(()),
        _ => Err(Error::SavedAnswersChanged { changed: changed.iter().map(ToString::to_string).collect() }),
    }
}

fn notice_text(changed: &Unconfirmed) -> String {
    format!("saved answers changed since the last run: {changed}")
}

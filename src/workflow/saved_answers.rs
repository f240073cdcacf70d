//! The saved answers of the last run, and the confirmation of changes to them since.

use crate::cli::{InstallArgs, SettingsArgs};
use crate::cluster::Cluster;
use crate::config::{self, Draft, SavedState, Settings, Unconfirmed};
use crate::error::Error;
use crate::report::Interaction;
use crate::session::Session;
use crate::workflow::prompts::require_yes;

/// Reads the saved answers.
pub(crate) async fn state(draft: &Draft, cluster: &Cluster) -> Result<Option<SavedState>, Error> {
    let namespace = draft.namespace();
    Ok(cluster.saved_state(&namespace).await?)
}

/// Answers from flags, file and environment. Invalid ones are reported before any request.
pub(crate) fn load(session: &Session, arguments: &SettingsArgs) -> Result<Draft, Error> {
    let draft = config::load(&session.sources(arguments))?;
    if draft.missing().is_empty() {
        draft.finish()?;
    }
    Ok(draft)
}

/// The answers of a command that changes nothing.
pub(crate) struct Answers {
    pub(crate) settings: Settings,
    /// Notices about the sources.
    pub(crate) notices: Vec<String>,
    /// Unconfirmed changes of security-bearing saved answers since the last run.
    pub(crate) unconfirmed: Vec<Unconfirmed>,
}

impl Answers {
    /// An error if saved security-bearing answers were changed.
    pub(crate) fn confirmed(&self) -> Result<(), Error> {
        require_unchanged(&self.unconfirmed)
    }

    /// An error if the saved chart repository was changed: a plan fetches charts from it.
    pub(crate) fn repository_confirmed(&self) -> Result<(), Error> {
        repository_confirmed(self.unconfirmed.clone())
    }
}

/// Settings from all sources except prompts.
pub(crate) fn answers(draft: &Draft, arguments: &SettingsArgs) -> Result<Answers, Error> {
    let changed = draft.unconfirmed();
    let mut notices = draft.notices().to_vec();
    notices.extend(changed.iter().map(notice_text));
    let unconfirmed = if arguments.accept_saved { Vec::new() } else { changed };
    Ok(Answers { settings: draft.finish()?, notices, unconfirmed })
}

/// Shows security-bearing saved answers that changed since the last run, before they are used. They need
/// `--accept-saved` or a prompt; `--yes` confirms only the plan.
pub(crate) fn confirm(session: &Session, arguments: &InstallArgs, draft: &Draft) -> Result<(), Error> {
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
    require_yes("Use these saved answers?")
}

/// An error if the chart repository is among the changes.
pub(crate) fn repository_confirmed(mut changed: Vec<Unconfirmed>) -> Result<(), Error> {
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

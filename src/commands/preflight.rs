//! `tailwatch preflight`: all preflight checks.

use crate::cli::SettingsArgs;
use crate::error::{self, Error};
use crate::event::Verdict;
use crate::helm::Ownership;
use crate::session::Session;
use crate::workflow::connect::{self, Connected};
use crate::workflow::planner::preflight_checks;
use crate::workflow::saved_answers;

pub(super) async fn preflight(session: &Session, arguments: &SettingsArgs, ownership: Ownership) -> Result<u8, Error> {
    let draft = saved_answers::load(session, arguments)?;
    let Connected { target, draft, .. } = connect::connect(session, &draft).await?;
    let checking = async {
        let answers = saved_answers::answers(&draft?, arguments)?;
        preflight_checks(session, &target, &answers, ownership).await
    };
    let checks = connect::of_one_cluster(&target.cluster, checking).await?;
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Fail).count();
    let total = checks.len();
    session.ui.checks(checks);
    if failed > 0 { Err(Error::Preflight { failed, total }) } else { Ok(error::OK) }
}

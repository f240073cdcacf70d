//! `tailwatch diagnose`: evaluates every diagnosis rule on the installed stack; nothing is changed.

use serde::Serialize;

use crate::cluster::{Findings, TrackedRelease};
use crate::error::{self, Error};
use crate::event::{Diagnosis, Severity};
use crate::plan::{self, PlanError};
use crate::report::{self, Examined};
use crate::session::Session;
use crate::workflow::connect::{Stack, connect_to_stack, of_one_cluster};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DiagnoseDocument {
    version: u8,
    context: Option<String>,
    namespace: String,
    rules: usize,
    objects: usize,
    findings: Vec<Diagnosis>,
}

pub(super) async fn diagnose(session: &Session) -> Result<u8, Error> {
    let Stack { cluster, driver, namespace, rows } = connect_to_stack(session).await?;
    let read = async {
        let releases = plan::tracked_releases(&cluster, driver, &rows).await?;
        if releases.is_empty() {
            return Err(PlanError::NothingInstalled { namespace: namespace.clone() }.into());
        }
        let tracked: Vec<TrackedRelease> = releases.iter().map(|(_, tracked)| tracked.clone()).collect();
        Ok((cluster.diagnose(&tracked).await?, releases))
    };
    let (Findings { mut diagnoses, rules, objects }, releases) = of_one_cluster(&cluster, read).await?;
    diagnoses.extend(releases.iter().filter_map(|(info, _)| plan::diagnosis_of(info)));
    let problems = diagnoses.iter().filter(|found| found.severity != Severity::Notice).count();
    let context = cluster.context().map(str::to_owned);
    let document = DiagnoseDocument { version: 1, context, namespace, rules, objects, findings: diagnoses };
    session.ui.document(&document, |DiagnoseDocument { findings, .. }, style, width| {
        report::findings_table(findings, Examined { rules, objects }, style, width)
    });
    if problems > 0 { Err(Error::ProblemsFound { findings: problems }) } else { Ok(error::OK) }
}

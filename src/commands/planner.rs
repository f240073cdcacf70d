//! From settings to a plan: the survey, and every check that needs it. Reads only.

use crate::check::preflight::oidc;
use crate::check::preflight::target::Proof;
use crate::cli::GlobalArgs;
use crate::commands::execute::Target;
use crate::commands::survey::{Survey, survey};
use crate::commands::{preflight_conflicts, preflight_target};
use crate::config::Settings;
use crate::error::Error;
use crate::event::{CheckResult, Verdict};
use crate::helm::Ownership;
use crate::plan::PlanError;

/// A plan, and the checks that would fail it.
pub(super) struct Proposal {
    pub(super) survey: Survey,
    /// Checks of the target, including failed ones.
    pub(super) checks: Vec<CheckResult>,
    /// Workloads with pods that a takeover replaces.
    pub(super) restarts: Vec<String>,
}

impl Proposal {
    /// Checks that would fail an install.
    pub(super) fn failed(&self) -> impl Iterator<Item = &CheckResult> {
        self.checks.iter().filter(|check| check.verdict == Verdict::Fail)
    }
}

/// Options that affect the plan.
#[derive(Clone, Copy)]
pub(super) struct Consent {
    pub(super) ownership: Ownership,
    /// The permissions that are asked for.
    pub(super) proof: Proof,
    pub(super) provider: Provider,
}

/// Whether to query the identity provider, which logs a failed exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    Ask,
    Skip,
}

/// The component that depends on the identity provider.
const OAUTH2_PROXY: &str = "oauth2-proxy";

/// Surveys the cluster and checks the target for what will change.
pub(super) async fn propose(
    global: &GlobalArgs,
    target: &Target,
    settings: &Settings,
    consent: Consent,
) -> Result<Proposal, Error> {
    let Target { cluster, helm } = target;
    let survey = survey(global, cluster, helm, settings).await?;
    let mut proposal = Proposal { survey, checks: Vec::new(), restarts: Vec::new() };
    let survey = &proposal.survey;
    if !survey.plan.has_changes() {
        return Ok(proposal);
    }
    let by_helm = !survey.prepared.releases.is_empty() || !survey.plan.removals.is_empty();
    let checks = async {
        let look = preflight_target::look((cluster, helm), settings, survey, consent.proof);
        if by_helm { look.await } else { Ok(Vec::new()) }
    };
    let conflicts = preflight_conflicts::look_before_a_change(cluster, helm, survey, consent.ownership);
    let identity = async {
        if consent.provider == Provider::Skip || !survey.changes(OAUTH2_PROXY) {
            return Ok(Vec::new());
        }
        let client = oidc::client(cluster, settings).await?;
        Ok(oidc::run(settings, client.ok()).await)
    };
    let (checks, conflicts, identity) = tokio::try_join!(checks, conflicts, identity)?;
    proposal.survey.note_doubts(&[&checks[..], &identity].concat());
    proposal.restarts = preflight_conflicts::announce(&conflicts, &mut proposal.survey);
    proposal.checks = [checks, conflicts.checks, identity].concat();
    Ok(proposal)
}

/// An error if releases of the stack's names were not installed by tailwatch and may not be taken over.
pub(super) fn refuse_unmanaged(survey: &Survey, ownership: Ownership) -> Result<(), Error> {
    let unmanaged = survey.unmanaged_releases();
    match ownership == Ownership::Respect && !unmanaged.is_empty() {
        true => Err(PlanError::UnmanagedReleases { releases: unmanaged }.into()),
        false => Ok(()),
    }
}

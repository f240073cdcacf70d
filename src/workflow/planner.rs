//! From settings to a plan: the planner, composed with the preflight checks that need the plan. Reads only.

use crate::check::node_coverage;
use crate::check::preflight::conflicts::{self, Findings};
use crate::check::preflight::target::{self, PlannedRemoval, Proof, TailnetStatus};
use crate::check::preflight::{oidc, prerequisites};
use crate::cluster::Operators;
use crate::config::Settings;
use crate::engine;
use crate::error::Error;
use crate::event::{ActionKind, CheckResult, Verdict};
use crate::helm::Ownership;
use crate::plan::{self, Plan, PlanError, Planner, Surroundings};
use crate::session::Session;
use crate::stack::{self, ClusterFacts, OidcClient};
use crate::workflow::connect::Target;
use crate::workflow::saved_answers::Answers;
use crate::workflow::{report_files, secrets};

/// A plan and its checks.
pub(crate) struct Proposal {
    pub(crate) plan: Plan,
    /// Checks that need the plan, including failed ones.
    pub(crate) checks: Vec<CheckResult>,
}

impl Proposal {
    /// Checks that would fail an install.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &CheckResult> {
        self.checks.iter().filter(|check| check.verdict == Verdict::Fail)
    }
}

/// Options that affect the plan and its checks.
#[derive(Clone, Copy)]
pub(crate) struct Consent {
    pub(crate) ownership: Ownership,
    /// The permissions that are checked.
    pub(crate) proof: Proof,
    pub(crate) provider: Provider,
    pub(crate) scope: Scope,
}

/// Whether to query the identity provider, which logs a failed exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    Ask,
    Skip,
}

/// Which checks run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those of the planned changes.
    Changes,
    /// Those of the whole stack.
    Stack,
}

/// Options of `--adopt`.
pub(crate) fn ownership(adopt: bool) -> Ownership {
    if adopt { Ownership::Take } else { Ownership::Respect }
}

/// Plans, and checks the cluster for what will change.
pub(crate) async fn propose(
    target: &Target,
    settings: &Settings,
    surroundings: &Surroundings,
    consent: Consent,
) -> Result<Proposal, Error> {
    let Target { cluster, helm, catalogue } = target;
    let Surroundings { facts, operators } = surroundings;
    let desired = stack::desired(catalogue, settings, facts)?;
    secrets::hide_planned(&desired);
    let mut plan = Planner { cluster, helm, catalogue }.plan(settings, desired).await?;
    let all = consent.scope == Scope::Stack;
    if !plan.has_changes() && !all {
        return Ok(Proposal { plan, checks: Vec::new() });
    }
    plan.notices.extend(of_nodes(&plan, facts));
    let of_target = async {
        let by_helm = !plan.incoming().is_empty() || !plan.removals.is_empty();
        if all || by_helm { check_target(target, settings, &plan, facts, consent.proof).await } else { Ok(Vec::new()) }
    };
    let identity = async {
        if consent.provider == Provider::Skip || !plan.changes_sign_in() {
            return Ok(Vec::new());
        }
        let client = OidcClient::resolve(&settings.auth0, facts.oauth2_proxy.as_ref());
        Ok(oidc::run(settings, client.ok()).await)
    };
    let (of_target, conflicts, identity) =
        tokio::try_join!(of_target, check_conflicts(target, &plan, consent, operators.as_ref()), identity)?;
    let warnings = warnings(of_target.iter().chain(&identity), &conflicts);
    let checks = [of_target, conflicts.checks, identity].concat();
    Ok(Proposal { plan: plan.taking_over(conflicts.takeovers, warnings), checks })
}

async fn check_target(
    Target { cluster, helm, .. }: &Target,
    settings: &Settings,
    plan: &Plan,
    facts: &ClusterFacts,
    proof: Proof,
) -> Result<Vec<CheckResult>, Error> {
    let machine = TailnetStatus::read(helm.environment()).await;
    let removed = plan.removals.iter().map(|removal| PlannedRemoval {
        namespace: &removal.namespace,
        objects: &removal.from.manifest,
        dependents: &engine::DEPENDENTS,
    });
    let intent = target::Intent {
        settings,
        incoming: plan.incoming(),
        stack: plan.each_step().map(|step| (&step.release, step.manifest())).collect(),
        removed: removed.collect(),
        growing: plan.growing(),
        recreated: plan.recreated(),
        is_client_side: helm.version().major < 4,
        nodes: &facts.nodes,
        driver: helm.driver(),
        proof,
        machine: machine.as_ref(),
    };
    Ok(target::run(cluster, &intent).await?)
}

/// Before a change, only our own objects can conflict if helm has nothing to do.
async fn check_conflicts(
    target: &Target,
    plan: &Plan,
    consent: Consent,
    operators: Option<&Operators>,
) -> Result<Findings, Error> {
    let Target { cluster, helm, .. } = target;
    let intent = conflicts::Intent::of(plan, consent.ownership);
    if consent.scope == Scope::Changes && intent.incoming.is_empty() {
        return Ok(conflicts::of_own_objects(helm, &intent).await);
    }
    Ok(conflicts::run(cluster, helm, &intent, operators).await?)
}

/// Notices about nodes without the stack's pods, and about what the values follow.
fn of_nodes(plan: &Plan, facts: &ClusterFacts) -> Vec<String> {
    let mounts_docker = plan.each_step().any(|step| {
        step.action != ActionKind::Unchanged
            && step.release.values.pointer("/alloy/mounts/dockercontainers") == Some(&true.into())
    });
    let mut notices = if plan.has_changes() { node_coverage::notices(&facts.nodes) } else { Vec::new() };
    notices.extend(node_coverage::docker_notice(&facts.nodes).filter(|_| mounts_docker));
    notices
}

/// Notices of checks that only warn; takeovers have notices of their own.
fn warnings<'a>(checks: impl Iterator<Item = &'a CheckResult>, conflicts: &Findings) -> Vec<String> {
    let is_warning = |check: &&CheckResult| check.verdict == Verdict::Warn;
    let with_topic = checks.filter(is_warning).map(|check| {
        let topic = if check.group == oidc::GROUP { &check.group } else { &check.id };
        format!("{topic}: {}", check.detail)
    });
    let of_conflicts = conflicts.checks.iter().filter(is_warning).filter(|check| check.id != conflicts::OWNERSHIP);
    with_topic.chain(of_conflicts.map(|check| check.detail.clone())).collect()
}

/// An error if tailwatch did not install releases of the stack's names or another tool reconciles them, and they may not
/// be taken over.
pub(crate) fn check_unmanaged(plan: &Plan, ownership: Ownership) -> Result<(), Error> {
    let Plan { unmanaged, reconciled, .. } = plan;
    if ownership == Ownership::Take {
        return Ok(());
    }
    if !reconciled.is_empty() {
        return Err(PlanError::Reconciled { reconciled: reconciled.clone() }.into());
    }
    match unmanaged.is_empty() {
        true => Ok(()),
        false => Err(PlanError::UnmanagedReleases { releases: unmanaged.clone() }.into()),
    }
}

/// Reads what the plan depends on, and runs the checks that do not need the plan.
pub(crate) async fn check_prerequisites(
    Target { cluster, helm, catalogue }: &Target,
    settings: &Settings,
) -> Result<(Surroundings, Vec<CheckResult>), Error> {
    let resources = async { prerequisites::read(cluster, settings).await.map_err(Error::from) };
    let surroundings = async { plan::surroundings(cluster, catalogue, settings).await.map_err(Error::from) };
    let (surroundings, resources) = futures::try_join!(surroundings, resources)?;
    let checks = prerequisites::run((cluster, helm), settings, &surroundings.facts, resources).await;
    Ok((surroundings, checks))
}

/// Runs the checks, and sends each verdict.
pub(crate) async fn preflight_checks(
    session: &Session,
    target: &Target,
    answers: &Answers,
    ownership: Ownership,
) -> Result<Vec<CheckResult>, Error> {
    // Unconfirmed saved answers: no request to their issuer or chart repository.
    answers.confirmed()?;
    session.notices(&answers.notices);
    let settings = &answers.settings;
    let Target { cluster, helm, .. } = target;
    report_files::note_surroundings(&session.record, cluster, helm, settings);
    let (surroundings, mut checks) = check_prerequisites(target, settings).await?;
    let client = OidcClient::resolve(&settings.auth0, surroundings.facts.oauth2_proxy.as_ref());
    checks.extend(oidc::run(settings, client.ok()).await);
    session.verdicts(&checks);
    // Fetching and rendering the charts reports further problems as errors.
    let consent = Consent { ownership, proof: Proof::Checks, provider: Provider::Skip, scope: Scope::Stack };
    let proposal = propose(target, settings, &surroundings, consent).await?;
    let plan = &proposal.plan;
    report_files::note_planned(&session.record, plan);
    let mut of_plan = prerequisites::charts_rendered(plan.releases().count(), &plan.chart_notices).await;
    of_plan.extend(proposal.checks);
    session.verdicts(&of_plan);
    Ok([checks, of_plan].concat())
}

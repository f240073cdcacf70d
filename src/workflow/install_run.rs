//! From answers to a verified stack: prompts, preflight, plan, confirmation, run. Install, upgrade and the guided
//! installation share it.

use crate::check::preflight::target::Proof;
use crate::cli::{self, InstallArgs, LoginArgs};
use crate::cluster::{Cluster, KubeconfigOnce};
use crate::config::{Draft, Settings};
use crate::error::{self, Error};
use crate::event::Verdict;
use crate::plan::{self, Plan, PlanError, Surroundings};
use crate::report::{self, Interaction};
use crate::session::Session;
use crate::wizard::Scope;
use crate::workflow::changing_run::replanning;
use crate::workflow::connect::{self, Connected, Target, cluster_name};
use crate::workflow::execute::{ExecuteOptions, execute};
use crate::workflow::planner::{self, Consent, Proposal, Provider};
use crate::workflow::prompts::{Secrets, ask, require_yes};
use crate::workflow::sign_in::LoginRun;
use crate::workflow::sign_in_plan::SignIn;
use crate::workflow::{plan_file, report_files, saved_answers};

/// An error without `--yes` and without a terminal for the prompt.
pub(crate) fn require_confirmation(session: &Session, arguments: &InstallArgs) -> Result<(), Error> {
    if session.ui.interaction() == Interaction::None && arguments.ask_secrets {
        let hint = "omit --ask-secrets and set AUTH0_CLIENT_SECRET, or a file as source of the secret";
        return Err(session.ui.cannot_prompt("cannot ask for a secret", hint));
    }
    if session.ui.interaction() == Interaction::None && !arguments.yes {
        let hint = "add --yes, or review the plan first with `tailwatch plan`";
        return Err(session.ui.cannot_prompt("cannot ask for confirmation of the plan", hint));
    }
    Ok(())
}

/// From settings to a verified stack: preflight, plan, confirmation, run.
pub(crate) async fn run_install(
    session: &Session,
    target: &Target,
    settings: &Settings,
    options: ExecuteOptions<'_>,
) -> Result<u8, Error> {
    let Target { cluster, helm, .. } = target;
    report_files::note_surroundings(&session.record, cluster, helm, settings);
    let confirmed = if options.arguments.yes { Interaction::None } else { session.ui.interaction() };
    let proof = if options.arguments.skip_verify { Proof::None } else { Proof::Checks };
    let (provider, scope) = (Provider::Ask, planner::Scope::Changes);
    let consent = Consent { ownership: options.ownership(), proof, provider, scope };
    let mut is_checked = false;
    let attempt = async || {
        let proposing = async {
            let surroundings = if is_checked {
                plan::surroundings(cluster, &target.catalogue, settings).await?
            } else {
                check_prerequisites(session, target, settings).await?
            };
            is_checked = true;
            planner::propose(target, settings, &surroundings, consent).await
        };
        let proposal = connect::of_one_cluster(cluster, proposing).await?;
        confirm_and_execute(session, target, settings, (proposal, confirmed), options).await
    };
    replanning(session, attempt).await
}

/// Failed checks are reported after the identity of the cluster was compared; that of the plan follows otherwise.
async fn check_prerequisites(session: &Session, target: &Target, settings: &Settings) -> Result<Surroundings, Error> {
    let (surroundings, checks) = planner::check_prerequisites(target, settings).await?;
    if checks.iter().any(|check| check.verdict == Verdict::Fail) {
        target.cluster.compare_identity().await?;
    }
    session.require_passed(&checks)?;
    Ok(surroundings)
}

/// The plan that is shown and confirmed is the plan that is executed.
async fn confirm_and_execute(
    session: &Session,
    target: &Target,
    settings: &Settings,
    (Proposal { plan, checks }, interaction): (Proposal, Interaction),
    options: ExecuteOptions<'_>,
) -> Result<u8, Error> {
    report_files::note_planned(&session.record, &plan);
    planner::check_unmanaged(&plan, options.ownership())?;
    if plan.has_changes() {
        session.require_passed(&checks)?;
    }
    if let Some(reviewed) = options.reviewed {
        reviewed.confirm(&plan_file::reviewed(&target.cluster, settings, &plan, options.ownership()))?;
    }
    session
        .ui
        .preview(|style, width| report::plan_table(&plan.steps(), style, width) + &SignIn::of(settings).planned(width));
    session.notices(&plan.notices);
    if interaction == Interaction::None && !options.arguments.allow_unverified && !plan.untried.is_empty() {
        let versions = plan.untried.iter().map(ToString::to_string).collect();
        return Err(PlanError::Unverified { versions }.into());
    }
    if interaction == Interaction::Prompts && plan.has_changes() {
        require_yes(&question(&target.cluster, &plan))?;
    }
    execute(session, target, settings, (&plan, options)).await
}

/// The question lists untried versions, and workloads with pods that a takeover replaces.
fn question(cluster: &Cluster, plan: &Plan) -> String {
    let versions: Vec<String> =
        plan.untried.iter().map(|step| format!("{} {}", step.component, step.version)).collect();
    let risk = if versions.is_empty() { String::new() } else { format!(", with {} untried", versions.join(" and ")) };
    let replaced = plan.replaced_workloads();
    let replaced =
        if replaced.is_empty() { String::new() } else { format!(", replacing the pods of {}", replaced.join(", ")) };
    format!("Change the cluster {}as planned{risk}{replaced}?", cluster_name(cluster))
}

/// Values of the environment variables of flags that the guided mode does not have.
pub(crate) fn environment_flags<T: clap::Args>() -> Result<T, Error> {
    cli::from_environment().map_err(|error| Error::Usage { message: error.to_string().trim().to_owned(), hint: None })
}

/// The state of the installed stack, before its answers.
async fn show_installed(session: &Session, target: &Target, namespace: &str) -> Result<(), Error> {
    let Target { cluster, helm, catalogue } = target;
    let rows = catalogue.overview(namespace);
    let reading = async { Ok(plan::status(cluster, helm.driver(), (namespace, &rows)).await?) };
    let releases = connect::of_one_cluster(cluster, reading).await?;
    if releases.iter().any(|row| row.status.is_some()) {
        let title = format!("Installed in the namespace {namespace}:\n");
        session.ui.preview(|style, width| title + &report::status_table(&releases, style, width));
    }
    Ok(())
}

/// How a run begins.
pub(crate) struct Run<'a> {
    pub(crate) scope: Scope,
    pub(crate) kubeconfig: KubeconfigOnce,
    pub(crate) options: ExecuteOptions<'a>,
}

/// Prompts for missing answers, and carries the run out.
pub(crate) async fn proceed(session: &Session, draft: Draft, run: Run<'_>) -> Result<u8, Error> {
    let Run { scope, kubeconfig, options } = run;
    let arguments = options.arguments;
    // Invalid variables are reported before anything is changed.
    let login: LoginArgs = environment_flags()?;
    session.notices(draft.notices());
    let reported = draft.notices().len();
    let Connected { target, draft, kept } = connect::connect_by(session, &draft, kubeconfig).await?;
    let (mut draft, Target { cluster, helm, .. }) = (draft?, &target);
    session.notices(&draft.notices()[reported..]);
    if session.ui.interaction() == Interaction::Prompts {
        // Those of an earlier run.
        let is_known = kept.is_some() && draft.missing().is_empty();
        let scope = if scope == Scope::Everything && is_known { Scope::Review } else { scope };
        if scope == Scope::Review {
            show_installed(session, &target, &draft.namespace()).await?;
        }
        ask((cluster, helm.environment()), &mut draft, scope, Secrets::of(arguments)).await?;
    }
    saved_answers::confirm(session, arguments, &draft)?;
    let settings = draft.finish()?;
    let code = run_install(session, &target, &settings, options).await?;
    if scope == Scope::Everything && !arguments.skip_verify && !arguments.yes {
        let login_run = LoginRun { session, cluster, settings: &settings, environment: helm.environment() };
        return error::verdict(&login_run.offer(login).await);
    }
    Ok(code)
}

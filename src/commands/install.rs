//! `tailwatch` and `tailwatch install`: answers, plan, confirmation, run, verification.

use std::path::Path;

use crate::check::preflight::prerequisites;
use crate::check::preflight::target::{Proof, TailnetStatus};
use crate::cli::{self, InstallArgs, LoginArgs};
use crate::cluster::{self, Cluster, KubeconfigOnce};
use crate::commands::changing_run::replanning;
use crate::commands::connect::{self, Connected, Target, cluster_name};
use crate::commands::execute::{ExecuteOptions, execute};
use crate::commands::plan_file;
use crate::commands::planner::{self, Consent, Proposal, Provider};
use crate::commands::sign_in::LoginRun;
use crate::commands::{report_files, saved_answers, secrets};
use crate::config::{Draft, Settings};
use crate::error::{self, Error};
use crate::plan::{self, Plan, PlanError};
use crate::process::Environment;
use crate::report::{self, Interaction};
use crate::session::Session;
use crate::stack::{self, ClusterFacts, OAUTH2_PROXY_SECRET, TAILSCALE_NAMESPACE, TAILSCALE_SECRET};
use crate::wizard::{self, Detected, Scope};

/// The guided installation; without a terminal it never prompts.
pub(super) async fn guided(session: &Session) -> Result<u8, Error> {
    if session.ui.interaction() == Interaction::None {
        let why = if session.global.quiet { "is interactive and does not support --quiet" } else { "needs a terminal" };
        return Err(Error::Usage {
            message: format!("the guided installation {why}"),
            hint: Some(
                "write the answers with `tailwatch answers init > answers.yaml`, then run \
                 `tailwatch install --answers answers.yaml --yes`"
                    .into(),
            ),
        });
    }
    let mut session = session.clone();
    let target = connect::target(&session.global, &Environment::default());
    if session.global.context.is_none() {
        let (contexts, current) = cluster::contexts(&target)?;
        let mut prompt = wizard::Terminal;
        session.global.context =
            tokio::task::block_in_place(|| wizard::choose_context(&mut prompt, &contexts, current.as_deref()))?;
    }
    let arguments: InstallArgs = environment_flags()?;
    let draft = saved_answers::load(&session, &arguments.settings)?;
    let run = Run { scope: Scope::Everything, kubeconfig: target.once, options: ExecuteOptions::of(&arguments)? };
    proceed(&session, draft, run).await
}

/// Values of the environment variables of flags that the guided mode does not have.
fn environment_flags<T: clap::Args>() -> Result<T, Error> {
    cli::from_environment().map_err(|error| Error::Usage { message: error.to_string().trim().to_owned(), hint: None })
}

/// The same from answers; prompts only for missing answers, and only on a terminal.
pub(super) async fn install(session: &Session, arguments: &InstallArgs, plan: Option<&Path>) -> Result<u8, Error> {
    let draft = saved_answers::load(session, &arguments.settings)?;
    let reviewed = plan.map(plan_file::Reviewed::read).transpose()?;
    // A reviewed plan is a confirmed plan.
    let arguments = &InstallArgs { yes: arguments.yes || reviewed.is_some(), ..arguments.clone() };
    require_confirmation(session, arguments)?;
    let options = ExecuteOptions { reviewed: reviewed.as_ref(), ..ExecuteOptions::of(arguments)? };
    proceed(session, draft, Run { scope: Scope::OnlyMissing, kubeconfig: KubeconfigOnce::default(), options }).await
}

/// An error without `--yes` and without a terminal for the prompt.
pub(super) fn require_confirmation(session: &Session, arguments: &InstallArgs) -> Result<(), Error> {
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

struct Run<'a> {
    scope: Scope,
    kubeconfig: KubeconfigOnce,
    options: ExecuteOptions<'a>,
}

async fn proceed(session: &Session, draft: Draft, run: Run<'_>) -> Result<u8, Error> {
    let Run { scope, kubeconfig, options } = run;
    let arguments = options.arguments;
    // Invalid variables are reported before anything is changed.
    let login: LoginArgs = environment_flags()?;
    session.notices(draft.notices());
    let reported = draft.notices().len();
    let Connected { target, draft, .. } = connect::connect_by(session, &draft, kubeconfig).await?;
    let (mut draft, Target { cluster, helm, .. }) = (draft?, &target);
    session.notices(&draft.notices()[reported..]);
    if session.ui.interaction() == Interaction::Prompts {
        ask((cluster, helm.environment()), &mut draft, scope, Secrets::of(arguments)).await?;
    }
    saved_answers::confirm(session, arguments, &draft)?;
    let settings = draft.finish()?;
    let code = carry_out(session, &target, &settings, options).await?;
    if scope == Scope::Everything && !arguments.skip_verify && !arguments.yes {
        let login_run = LoginRun { session, cluster, settings: &settings, environment: helm.environment() };
        return error::verdict(&login_run.offer(login).await);
    }
    Ok(code)
}

/// From settings to a verified stack: preflight, plan, confirmation, run.
pub(super) async fn carry_out(
    session: &Session,
    target: &Target,
    settings: &Settings,
    options: ExecuteOptions<'_>,
) -> Result<u8, Error> {
    let Target { cluster, helm, .. } = target;
    report_files::note_surroundings(&session.record, cluster, helm, settings);
    let checking = async {
        let facts = plan::cluster_facts(cluster, settings).await?;
        Ok((prerequisites::run(cluster, helm, settings, &facts).await?, facts))
    };
    let (checks, facts) = connect::of_one_cluster(cluster, checking).await?;
    session.require_passed(&checks)?;
    let confirmed = if options.arguments.yes { Interaction::None } else { session.ui.interaction() };
    let mut known = Some(facts);
    let attempt = async || {
        let facts = match known.take() {
            Some(facts) => facts,
            None => {
                let reading = async { Ok(plan::cluster_facts(cluster, settings).await?) };
                connect::of_one_cluster(cluster, reading).await?
            }
        };
        plan_and_execute(session, target, (settings, &facts), confirmed, options).await
    };
    replanning(session, attempt).await
}

/// The plan that is shown and confirmed is the plan that is executed.
async fn plan_and_execute(
    session: &Session,
    target: &Target,
    (settings, facts): (&Settings, &ClusterFacts),
    interaction: Interaction,
    options: ExecuteOptions<'_>,
) -> Result<u8, Error> {
    let proof = if options.arguments.skip_verify { Proof::None } else { Proof::Checks };
    let (provider, scope) = (Provider::Ask, planner::Scope::Changes);
    let consent = Consent { ownership: options.ownership(), proof, provider, scope };
    let proposing = planner::propose(target, settings, facts, consent);
    let Proposal { plan, checks } = connect::of_one_cluster(&target.cluster, proposing).await?;
    report_files::note_planned(&session.record, &plan);
    planner::check_unmanaged(&plan, options.ownership())?;
    if plan.has_changes() {
        session.require_passed(&checks)?;
    }
    if let Some(reviewed) = options.reviewed {
        reviewed.confirm(&plan_file::reviewed(&target.cluster, settings, &plan, options.ownership()))?;
    }
    session.ui.preview(|style, width| report::plan_table(&plan.steps(), style, width));
    session.notices(&plan.notices);
    if interaction == Interaction::None && !options.arguments.allow_unverified && !plan.untried.is_empty() {
        let versions = plan.untried.iter().map(ToString::to_string).collect();
        return Err(PlanError::Unverified { versions }.into());
    }
    if interaction == Interaction::Prompts && plan.has_changes() {
        let mut prompt = wizard::Terminal;
        let question = question(&target.cluster, &plan);
        if !tokio::task::block_in_place(|| wizard::confirm(&mut prompt, &question))? {
            return Err(Error::Declined);
        }
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

/// Whether to prompt for a secret that the cluster already stores.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    Keep,
    AskAgain,
}

impl Secrets {
    pub(super) fn of(arguments: &InstallArgs) -> Secrets {
        if arguments.ask_secrets { Secrets::AskAgain } else { Secrets::Keep }
    }
}

pub(super) async fn ask(
    (cluster, environment): (&Cluster, &Environment),
    draft: &mut Draft,
    scope: Scope,
    secrets: Secrets,
) -> Result<(), Error> {
    let namespace = draft.text("namespace").map_or_else(String::new, |(text, _)| text);
    let tailscale_operator = plan::tailscale_operator(cluster).await?;
    let (storage_classes, client, operator) = tokio::try_join!(
        cluster.storage_classes(),
        cluster.secret(&namespace, OAUTH2_PROXY_SECRET),
        cluster.secret(TAILSCALE_NAMESPACE, TAILSCALE_SECRET),
    )?;
    let machine = TailnetStatus::read(environment).await;
    let keep = secrets == Secrets::Keep;
    tokio::task::block_in_place(|| {
        let detected = Detected {
            tailnet: machine.map(|machine| machine.suffix),
            storage_classes,
            tailscale_operator,
            kept_oidc_client: client.filter(|_| keep).as_ref().and_then(stack::stored_oidc_client),
            kept_operator_client: operator.filter(|_| keep).as_ref().and_then(stack::stored_operator_client),
        };
        wizard::ask(draft, &detected, scope, &mut wizard::Terminal)
    })?;
    secrets::hide_answers(draft);
    Ok(())
}

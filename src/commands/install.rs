//! `tailwatch` and `tailwatch install`: answers, plan, confirmation, run, verification.

use std::path::Path;

use crate::check::preflight::prerequisites;
use crate::check::preflight::target::{Proof, TailnetStatus};
use crate::cli::{self, GlobalArgs, InstallArgs, LoginArgs, Output};
use crate::cluster::{self, Cluster, KubeconfigOnce};
use crate::commands::changing_run::{RunOptions, replanning};
use crate::commands::connect::{self, Connected, Target, cluster_name};
use crate::commands::durations::{parse_deadline, parse_lock_timeout, parse_timeout};
use crate::commands::execute::{ExecuteOptions, execute};
use crate::commands::interactive::Interaction;
use crate::commands::plan_file::{self, Reviewed};
use crate::commands::planner::{self, Consent, Proposal, Provider};
use crate::commands::signals::Signals;
use crate::commands::{report_files, saved_answers, secrets, sign_in};
use crate::config::{Draft, Settings};
use crate::error::{self, Error};
use crate::event::{CheckResult, Verdict};
use crate::plan::{self, Plan, PlanError};
use crate::process::Environment;
use crate::report::{self, Record, style::Style};
use crate::stack::{self, ClusterFacts, OAUTH2_PROXY_SECRET, TAILSCALE_NAMESPACE, TAILSCALE_SECRET};
use crate::wizard::{self, Detected, Scope};

/// The guided installation; without a terminal it never prompts.
pub(super) async fn guided(global: &GlobalArgs, signals: &Signals, record: &Record) -> Result<u8, Error> {
    if Interaction::of(global) == Interaction::None {
        let why = if global.quiet { "is interactive and does not support --quiet" } else { "needs a terminal" };
        return Err(Error::Usage {
            message: format!("the guided installation {why}"),
            hint: Some(
                "write the answers with `tailwatch answers init > answers.yaml`, then run \
                 `tailwatch install --answers answers.yaml --yes`"
                    .into(),
            ),
        });
    }
    let mut global = global.clone();
    let target = connect::target(&global, &Environment::default());
    if global.context.is_none() {
        let (contexts, current) = cluster::contexts(&target)?;
        let mut prompt = wizard::Terminal;
        global.context =
            tokio::task::block_in_place(|| wizard::choose_context(&mut prompt, &contexts, current.as_deref()))?;
    }
    let arguments: InstallArgs = environment_flags()?;
    let draft = saved_answers::load(&global, &arguments.settings)?;
    let run = Run { scope: Scope::Everything, signals, record, kubeconfig: target.once, reviewed: None };
    proceed(&global, &arguments, draft, run).await
}

/// Values of the environment variables of flags that the guided mode does not have.
fn environment_flags<T: clap::Args>() -> Result<T, Error> {
    cli::from_environment().map_err(|error| Error::Usage { message: error.to_string().trim().to_owned(), hint: None })
}

/// The same from answers; prompts only for missing answers, and only on a terminal.
pub(super) async fn install(
    global: &GlobalArgs,
    (arguments, plan): (&InstallArgs, Option<&Path>),
    signals: &Signals,
    record: &Record,
) -> Result<u8, Error> {
    let draft = saved_answers::load(global, &arguments.settings)?;
    let reviewed = plan.map(plan_file::Reviewed::read).transpose()?;
    // A reviewed plan is a confirmed plan.
    let arguments = &InstallArgs { yes: arguments.yes || reviewed.is_some(), ..arguments.clone() };
    require_confirmation(global, arguments)?;
    let (kubeconfig, reviewed) = (KubeconfigOnce::default(), reviewed.as_ref());
    proceed(global, arguments, draft, Run { scope: Scope::OnlyMissing, signals, record, kubeconfig, reviewed }).await
}

/// An error without `--yes` and without a terminal for the prompt.
pub(super) fn require_confirmation(global: &GlobalArgs, arguments: &InstallArgs) -> Result<(), Error> {
    if Interaction::of(global) == Interaction::None && arguments.ask_secrets {
        let hint = "omit --ask-secrets and set AUTH0_CLIENT_SECRET, or a file as source of the secret";
        return Err(Interaction::usage_error(global, "cannot ask for a secret", hint));
    }
    if Interaction::of(global) == Interaction::None && !arguments.yes {
        let hint = "add --yes, or review the plan first with `tailwatch plan`";
        return Err(Interaction::usage_error(global, "cannot ask for confirmation of the plan", hint));
    }
    Ok(())
}

struct Run<'a> {
    scope: Scope,
    signals: &'a Signals,
    record: &'a Record,
    kubeconfig: KubeconfigOnce,
    reviewed: Option<&'a Reviewed>,
}

async fn proceed(global: &GlobalArgs, arguments: &InstallArgs, draft: Draft, run: Run<'_>) -> Result<u8, Error> {
    let options = options("install", arguments, (run.signals, run.record))?;
    let options = ExecuteOptions { reviewed: run.reviewed, ..options };
    // Invalid variables are reported before anything is changed.
    let login: LoginArgs = environment_flags()?;
    report::notices(draft.notices(), global);
    let reported = draft.notices().len();
    let Connected { target, draft, .. } =
        connect::connect_by(global, &draft, run.signals.writes(), run.kubeconfig).await?;
    let (mut draft, Target { cluster, helm, .. }) = (draft?, &target);
    report::notices(&draft.notices()[reported..], global);
    if Interaction::of(global) == Interaction::Prompts {
        ask((cluster, helm.environment()), &mut draft, run.scope, Secrets::of(arguments)).await?;
    }
    saved_answers::confirm(global, arguments, &draft)?;
    let settings = draft.finish()?;
    let code = carry_out(global, &target, &settings, options).await?;
    if run.scope == Scope::Everything && !options.skip_verify && !options.yes {
        let (record, environment) = (run.record, helm.environment());
        let login_run = sign_in::LoginRun { global, cluster, settings: &settings, record, environment };
        return error::verdict(&login_run.offer(login, run.signals).await);
    }
    Ok(code)
}

/// Options from the flags.
pub(super) fn options<'a>(
    command: &'static str,
    arguments: &InstallArgs,
    (signals, record): (&'a Signals, &'a Record),
) -> Result<ExecuteOptions<'a>, Error> {
    Ok(ExecuteOptions {
        run: RunOptions {
            command,
            signals,
            record,
            timeout: parse_timeout(&arguments.timeout)?,
            deadline: parse_deadline(arguments.deadline.as_deref())?,
            lock_timeout: parse_lock_timeout(&arguments.lock_timeout)?,
        },
        skip_verify: arguments.skip_verify,
        ownership: planner::ownership(arguments.adopt),
        allow_unverified: arguments.allow_unverified,
        yes: arguments.yes,
        reviewed: None,
    })
}

/// From settings to a verified stack: preflight, plan, confirmation, run.
pub(super) async fn carry_out(
    global: &GlobalArgs,
    target: &Target,
    settings: &Settings,
    options: ExecuteOptions<'_>,
) -> Result<u8, Error> {
    let style = Style::resolve(global);
    let Target { cluster, helm, .. } = target;
    report_files::note_surroundings(options.run.record, cluster, helm, settings);
    let checking = async {
        let facts = plan::cluster_facts(cluster, settings).await?;
        Ok((prerequisites::run(cluster, helm, settings, &facts).await?, facts))
    };
    let (checks, facts) = connect::of_one_cluster(cluster, checking).await?;
    require_passed(&checks, &style, options.run.record)?;
    let confirmed = if options.yes { Interaction::None } else { Interaction::of(global) };
    let mut known = Some(facts);
    let attempt = async || {
        let facts = match known.take() {
            Some(facts) => facts,
            None => {
                let reading = async { Ok(plan::cluster_facts(cluster, settings).await?) };
                connect::of_one_cluster(cluster, reading).await?
            }
        };
        plan_and_execute(global, target, (settings, &facts), confirmed, options).await
    };
    replanning(&style, attempt).await
}

/// The plan that is shown and confirmed is the plan that is executed.
async fn plan_and_execute(
    global: &GlobalArgs,
    target: &Target,
    (settings, facts): (&Settings, &ClusterFacts),
    interaction: Interaction,
    options: ExecuteOptions<'_>,
) -> Result<u8, Error> {
    let style = Style::resolve(global);
    let proof = if options.skip_verify { Proof::None } else { Proof::Checks };
    let (provider, scope) = (Provider::Ask, planner::Scope::Changes);
    let consent = Consent { ownership: options.ownership, proof, provider, scope };
    let proposing = planner::propose(target, settings, facts, consent);
    let Proposal { plan, checks } = connect::of_one_cluster(&target.cluster, proposing).await?;
    report_files::note_planned(options.run.record, &plan);
    planner::check_unmanaged(&plan, options.ownership)?;
    if plan.has_changes() {
        require_passed(&checks, &style, options.run.record)?;
    }
    if let Some(reviewed) = options.reviewed {
        reviewed.confirm(&plan_file::reviewed(&target.cluster, settings, &plan, options.ownership))?;
    }
    if global.output == Output::Human && !global.quiet {
        report::write_stderr(&report::plan_table(&plan.steps(), &style, report::width()));
        for notice in &plan.notices {
            report::notice(notice, &style);
        }
    }
    if interaction == Interaction::None && !options.allow_unverified && !plan.untried.is_empty() {
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
    execute(global, target, settings, (&plan, options)).await
}

/// Reports errors of later steps before the first change.
fn require_passed(checks: &[CheckResult], style: &Style, record: &Record) -> Result<(), Error> {
    record.checks(checks);
    let failed: Vec<_> = checks.iter().filter(|check| check.verdict == Verdict::Fail).cloned().collect();
    if failed.is_empty() {
        return Ok(());
    }
    report::write_stderr(&report::checks_table(&failed, style, report::width()));
    Err(Error::Preflight { failed: failed.len(), total: checks.len() })
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

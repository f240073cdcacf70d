//! The questions of the guided installation, with what the cluster and this machine already answer.

use crate::check::preflight::target::TailnetStatus;
use crate::cli::InstallArgs;
use crate::cluster::{Cluster, permitted};
use crate::config::Draft;
use crate::error::Error;
use crate::plan;
use crate::process::Environment;
use crate::stack::{self, OAUTH2_PROXY_SECRET, TAILSCALE_NAMESPACE, TAILSCALE_SECRET};
use crate::wizard::{self, Detected, Scope};
use crate::workflow::secrets;

/// An error unless the user answers yes.
pub(crate) fn require_yes(question: &str) -> Result<(), Error> {
    match tokio::task::block_in_place(|| wizard::confirm(&mut wizard::Terminal, question))? {
        true => Ok(()),
        false => Err(Error::Declined),
    }
}

/// Whether to prompt for a secret that the cluster already stores.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrets {
    Keep,
    AskAgain,
}

impl Secrets {
    pub(crate) fn of(arguments: &InstallArgs) -> Secrets {
        if arguments.ask_secrets { Secrets::AskAgain } else { Secrets::Keep }
    }
}

pub(crate) async fn ask(
    (cluster, environment): (&Cluster, &Environment),
    draft: &mut Draft,
    scope: Scope,
    secrets: Secrets,
) -> Result<(), Error> {
    let namespace = draft.namespace();
    let tailscale_operator = plan::tailscale_operator(cluster).await?;
    let (storage_classes, client, operator) = tokio::try_join!(
        async { permitted(cluster.storage_classes().await) },
        cluster.secret(&namespace, OAUTH2_PROXY_SECRET),
        async { permitted(cluster.secret(TAILSCALE_NAMESPACE, TAILSCALE_SECRET).await) },
    )?;
    let machine = TailnetStatus::read(environment).await;
    let keep = secrets == Secrets::Keep;
    tokio::task::block_in_place(|| {
        let detected = Detected {
            tailnet: machine.map(|machine| machine.suffix),
            storage_classes: storage_classes.unwrap_or_default(),
            tailscale_operator,
            kept_oidc_client: client.filter(|_| keep).as_ref().and_then(stack::stored_oidc_client),
            kept_operator_client: operator.flatten().filter(|_| keep).as_ref().and_then(stack::stored_operator_client),
        };
        wizard::ask(draft, &detected, scope, &mut wizard::Terminal)
    })?;
    secrets::hide_answers(draft);
    Ok(())
}

//! `tailwatch rbac`: prints the roles that a command needs.

use serde::Serialize;
use serde_json::Value;

use crate::check::preflight::target::{Grantee, Grants, Purpose};
use crate::cli::{RbacArgs, RbacCommand};
use crate::error::{self, Error};
use crate::plan::{self, UninstallOptions};
use crate::report;
use crate::session::Session;
use crate::stack::TAILWATCH;
use crate::workflow::connect::{self, Connected};
use crate::workflow::{permissions, saved_answers};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RbacDocument<'a> {
    version: u8,
    context: Option<&'a str>,
    namespace: &'a str,
    notices: &'a [String],
    /// In the order in which they can be applied.
    objects: Vec<&'a Value>,
}

pub(super) async fn rbac(session: &Session, arguments: &RbacArgs) -> Result<u8, Error> {
    let purpose = purpose(arguments)?;
    let draft = saved_answers::load(session, &arguments.settings)?;
    let Connected { target, draft, .. } = connect::connect(session, &draft).await?;
    let reading = async {
        let answers = saved_answers::answers(&draft?, &arguments.settings)?;
        answers.repository_confirmed()?;
        let settings = &answers.settings;
        let grantee = grantee(arguments, settings.namespace.as_str())?;
        let read = plan::surroundings(&target.cluster, &target.catalogue, settings).await?;
        let Grants { parts, of_all_secrets } =
            permissions::grants(&target, (settings, &read.facts), purpose, &grantee).await?;
        Ok((answers, parts, of_all_secrets))
    };
    let (answers, parts, of_all_secrets) = connect::of_one_cluster(&target.cluster, reading).await?;
    let namespace = answers.settings.namespace.as_str();
    let first = format!(
        "The permissions of the command {} for the stack in namespace {namespace}, to be applied by an administrator: \
         kubectl apply -f FILE. Print them again after a change of the answers or of versions",
        purpose.command()
    );
    let comments: Vec<String> = std::iter::once(first).chain(of_all_secrets).collect();
    let notices: Vec<String> = comments.iter().chain(parts.iter().map(|(comment, _)| comment)).cloned().collect();
    let document = RbacDocument {
        version: 1,
        context: target.cluster.context(),
        namespace,
        notices: &notices,
        objects: parts.iter().flat_map(|(_, objects)| objects).collect(),
    };
    session.ui.document(&document, |_, _, _| report::manifests(&comments, &parts));
    session.notices(&answers.notices);
    Ok(error::OK)
}

fn purpose(arguments: &RbacArgs) -> Result<Purpose, Error> {
    let options = UninstallOptions { data: arguments.delete_data, crds: arguments.delete_crds };
    if options != UninstallOptions::default() && arguments.command != RbacCommand::Uninstall {
        let message = "--delete-data and --delete-crds need --for uninstall".to_owned();
        return Err(Error::Usage { message, hint: None });
    }
    Ok(match arguments.command {
        RbacCommand::Install => Purpose::Install,
        RbacCommand::Upgrade => Purpose::Upgrade,
        RbacCommand::Verify => Purpose::Verify,
        RbacCommand::Uninstall => Purpose::Uninstall(options),
    })
}

fn grantee(arguments: &RbacArgs, namespace: &str) -> Result<Grantee, Error> {
    let account = arguments.service_account.as_deref();
    match (&arguments.group, account) {
        (Some(group), _) => Ok(Grantee::Group(group.clone())),
        (None, None) => Ok(Grantee::ServiceAccount(namespace.to_owned(), TAILWATCH.to_owned())),
        (None, Some(account)) => match account.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Grantee::ServiceAccount(namespace.to_owned(), name.to_owned()))
            }
            _ => Err(Error::Usage {
                message: format!("--service-account {account:?}: expected NAMESPACE/NAME"),
                hint: None,
            }),
        },
    }
}

//! The permissions of a command on a whole stack, whatever of it is installed. Reads only.

use crate::check::preflight::target::{self, Grantee, Grants, PlannedRemoval, Proof, Purpose};
use crate::cluster::{ManifestObjects, is_ours};
use crate::config::Settings;
use crate::engine;
use crate::error::Error;
use crate::plan::{Installed, Planner, installed_rows};
use crate::stack::{self, ClusterFacts};
use crate::workflow::connect::Target;
use crate::workflow::secrets;

/// RBAC objects with the permissions of a purpose: from the rendered charts, and from the installed releases of the
/// stack, which can be of other versions.
pub(crate) async fn grants(
    Target { cluster, helm, catalogue }: &Target,
    (settings, facts): (&Settings, &ClusterFacts),
    purpose: Purpose,
    grantee: &Grantee,
) -> Result<Grants, Error> {
    let desired = stack::desired(catalogue, settings, facts)?;
    secrets::hide_planned(&desired);
    let plan = Planner { cluster, helm, catalogue }.first_installation(desired).await?;
    let rows = catalogue.overview(settings.namespace.as_str());
    let mut installed = installed_rows(cluster, helm.driver(), &rows, ManifestObjects::All).await?;
    installed.retain(|found| is_ours(&found.records, &found.info.name));
    let dependents = &engine::DEPENDENTS[..];
    let rendered = plan.each_step().map(|step| PlannedRemoval {
        namespace: &step.release.namespace,
        objects: step.manifest(),
        dependents,
    });
    let existing = installed.iter().map(|Installed { info, manifest, .. }| PlannedRemoval {
        namespace: &info.namespace,
        objects: manifest,
        dependents,
    });
    let removed = match purpose {
        Purpose::Install | Purpose::Verify => Vec::new(),
        Purpose::Upgrade | Purpose::Uninstall(_) => rendered.chain(existing).collect(),
    };
    let intent = target::Intent {
        settings,
        incoming: plan.incoming(),
        stack: plan.each_step().map(|step| (&step.release, step.manifest())).collect(),
        removed,
        growing: Vec::new(),
        recreated: Vec::new(),
        is_client_side: helm.version().major < 4,
        nodes: &facts.nodes,
        driver: helm.driver(),
        proof: Proof::Checks,
        machine: None,
    };
    Ok(target::grants(cluster, &intent, purpose, grantee).await?)
}

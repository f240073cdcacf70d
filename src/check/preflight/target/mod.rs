//! Checks of a plan's target cluster: permissions of this context, host ports, ResourceQuotas, tailnet. Each row has a
//! `read` and a pure `judge`.

mod api_services;
mod deletions;
mod dry_run;
mod host_ports;
mod intent;
mod permissions;
mod quotas;
mod schema;
mod tailnet;
mod tailnet_status;
#[cfg(test)]
mod tests;

use crate::check::precomputed::{GROUP, Precomputed};
use crate::check::row::Row;
use crate::cluster::{Cluster, ClusterError, Resource};
use crate::event::CheckResult;
use crate::plan::PlannedRelease;

use intent::Kinds;
pub use intent::{Intent, PlannedRemoval, Proof};
pub use tailnet_status::TailnetStatus;

pub(in crate::check) const ROWS: &[Row<Precomputed>] = &[
    Row::new("permissions", GROUP, "the current context has all required permissions", |known: &Precomputed| {
        known.finding("permissions")
    })
    .within(0)
    .hint("use a context with cluster-admin permissions, or ask an administrator to grant the reported ones"),
    Row::new("pending-deletions", GROUP, "no namespace or CRD of the stack is being deleted", |known: &Precomputed| {
        known.finding("pending-deletions")
    })
    .within(0)
    .hint("wait until the deletion ends, then run the same command again"),
    Row::new("api-services", GROUP, "every APIService is available", |known: &Precomputed| {
        known.finding("api-services")
    })
    .within(0)
    .warns()
    .hint("repair or delete the APIService: until then no namespace can be deleted"),
    Row::new("dry-run", GROUP, "the API server accepts every object of the stack", |known: &Precomputed| {
        known.finding("dry-run")
    })
    .within(0)
    .hint("change the objects under `values:` in the answers, or the policy that rejects them"),
    Row::new("host-ports", GROUP, "the host ports that the stack needs are free", |known: &Precomputed| {
        known.finding("host-ports")
    })
    .within(0)
    .hint("remove the other pod, or set another port under `values:`"),
    Row::new("quotas", GROUP, "the ResourceQuotas leave room for the stack", |known: &Precomputed| {
        known.finding("quotas")
    })
    .within(0)
    .hint("raise the quota (`kubectl -n NAMESPACE describe quota`), or lower replicas and requests under `values:`"),
    Row::new("tailnet", GROUP, "the tailnet has the configured name and HTTPS certificates", |known: &Precomputed| {
        known.finding("tailnet")
    })
    .within(0)
    .hint("compare the answer `tailnet` with the DNS page of the Tailscale admin console"),
];

/// Runs the rows; reads and dry runs only.
pub async fn run(cluster: &Cluster, intent: &Intent<'_>) -> Result<Vec<CheckResult>, ClusterError> {
    let kinds = kinds(cluster, &intent.incoming).await?;
    let (permissions, deletions, apis, tried, ports, quotas, tailnet) = futures::try_join!(
        permissions::read(cluster, intent, &kinds),
        deletions::read(cluster, &intent.incoming),
        cluster.unavailable_apis(),
        dry_run::read(cluster, intent, &kinds),
        host_ports::read(cluster, &intent.incoming),
        quotas::read(cluster, &intent.incoming, &kinds),
        tailnet::read(cluster, intent),
    )?;
    let findings = [
        ("permissions", permissions::judge(&permissions)),
        ("pending-deletions", deletions::judge(&deletions)),
        ("api-services", api_services::judge(apis.as_deref())),
        ("dry-run", dry_run::judge(&tried.without_reported(&permissions))),
        ("host-ports", host_ports::judge(&ports)),
        ("quotas", quotas::judge(&quotas)),
        ("tailnet", tailnet::judge(&tailnet)),
    ];
    Ok(Precomputed::new(intent.settings.namespace.as_str(), findings).run(ROWS).await)
}

async fn kinds(cluster: &Cluster, incoming: &[PlannedRelease<'_>]) -> Result<Kinds, ClusterError> {
    let mut known = cluster.resources().await?;
    let rendered = incoming.iter().flat_map(|incoming| incoming.crds.iter().chain(incoming.rendered));
    for crd in rendered.filter(|object| object["kind"] == "CustomResourceDefinition") {
        for (kind, resource) in Resource::of_crd(crd) {
            known.entry(kind).or_insert(resource);
        }
    }
    Ok(known)
}

//! Checks of a plan's target cluster: permissions of this context, host ports, ResourceQuotas, tailnet. Each row has a
//! `read` and a pure `judge`.

mod addresses;
mod answers;
mod api_services;
mod claims;
mod deletions;
mod dry_run;
mod host_ports;
mod images;
mod intent;
mod namespaces;
mod needed;
mod permissions;
mod pods;
mod quotas;
mod roles;
mod room;
mod rules;
mod schema;
mod tailnet;
mod tailnet_status;
#[cfg(test)]
mod tests;
mod trial;
mod webhooks;
mod workload_namespaces;

use std::collections::BTreeMap;

use futures::FutureExt as _;

use crate::check::preflight::{Permitted, fact, judged, unless_forbidden};
use crate::check::row::{Row, known};
use crate::check::runner::{self, Subject};
use crate::cluster::{Cluster, ClusterError, PodsByNode, UnavailableApi, Used};
use crate::event::CheckResult;
use crate::plan::PlannedRelease;
use crate::stack::NodeStates;

use addresses::Unserved;
use claims::Differing;
use deletions::Deletions;
use dry_run::DryRuns;
use host_ports::{NeededPort, Ports};
use images::Images;
use intent::kinds;
pub use intent::{Intent, PlannedRemoval, Proof};
use permissions::Permissions;
use quotas::Quotas;
pub use roles::{Grantee, Grants, grants};
use room::Need;
pub use rules::Purpose;
use tailnet::Tailnet;
pub use tailnet_status::TailnetStatus;
use webhooks::Blocking;
use workload_namespaces::Elsewhere;

pub(in crate::check) const ROWS: &[Row<Facts>] = &[
    fact("permissions", "the current context has all required permissions", |facts: &Facts| {
        known(judged(&facts.permissions, permissions::judge))
    })
    .hint(
        "use a context with cluster-admin permissions, or ask an administrator to grant the reported ones: `tailwatch rbac` \
         prints them as manifests",
    ),
    fact("pending-deletions", "no namespace or CRD of the stack is being deleted", |facts: &Facts| {
        known(judged(&facts.deletions, deletions::judge))
    })
    .hint("wait until the deletion ends, then run the same command again"),
    fact("api-services", "every APIService is available", |facts: &Facts| {
        known(api_services::judge(facts.unavailable_apis.as_deref()))
    })
    .warns()
    .hint("repair or delete the APIService: until then no namespace can be deleted"),
    fact("admission-webhooks", "the admission webhooks for the stack's objects can be called", |facts: &Facts| {
        known(webhooks::judge(facts.webhooks.as_deref()))
    })
    .hint("install the Service of the webhook again, or delete its configuration if nothing needs it"),
    fact("dry-run", "the API server accepts every object of the stack", |facts: &Facts| {
        known(dry_run::judge(&facts.dry_runs))
    })
    .hint("change the objects under `values:` in the answers, or the policy that rejects them"),
    fact("service-addresses", "the Services that the stack's values and Ingress name exist", |facts: &Facts| {
        known(judged(&facts.unserved, |unserved| addresses::judge(unserved)))
    })
    .hint("set the address of an existing Service under `values:` in the answers"),
    fact("workload-namespaces", "every workload is in the namespace of its release", |facts: &Facts| {
        known(workload_namespaces::judge(&facts.elsewhere))
    })
    .hint("remove the namespace from the values of the chart; the answer namespace moves the whole stack"),
    fact("image-registry", "every image is in the registry of the answers", |facts: &Facts| {
        known(images::judge(&facts.images))
    })
    .warns()
    .hint("set the registry of these images under `values:` in the answers"),
    fact("volume-claims", "existing PersistentVolumeClaims fit the stack", |facts: &Facts| {
        known(judged(&facts.claims, |claims| claims::judge(claims)))
    })
    .hint("set storage.class to that of the claims, or delete them"),
    fact("host-ports", "the host ports that the stack needs are free", |facts: &Facts| {
        known(judged(&facts.on_nodes, |(ports, _)| host_ports::judge(ports)))
    })
    .hint("remove the other pod, or set another port under `values:`"),
    fact("node-room", "the nodes have room for the pods of the stack", |facts: &Facts| {
        known(judged(&facts.on_nodes, |(_, used)| room::judge(&facts.nodes, used, &facts.needs)))
    })
    .warns()
    .hint("lower the requests under `values:`, add a node, raise maxPods of the kubelet, or move other pods"),
    fact("quotas", "the ResourceQuotas leave room for the stack", |facts: &Facts| {
        known(judged(&facts.quotas, quotas::judge))
    })
    .hint("raise the quota (`kubectl -n NAMESPACE describe quota`), or lower replicas and requests under `values:`"),
    fact("tailnet", "the tailnet has the configured name and HTTPS certificates", |facts: &Facts| {
        known(judged(&facts.tailnet, tailnet::judge))
    })
    .hint("compare the answer `tailnet` with the DNS page of the Tailscale admin console"),
];

/// What was read, each with several requests that the rows share.
pub(in crate::check) struct Facts {
    namespace: String,
    permissions: Permitted<Permissions>,
    deletions: Permitted<Deletions>,
    /// `None`: this context may not list them.
    unavailable_apis: Option<Vec<UnavailableApi>>,
    /// `None`: this context may not list them.
    webhooks: Option<Vec<Blocking>>,
    dry_runs: DryRuns,
    unserved: Permitted<Vec<Unserved>>,
    elsewhere: Vec<Elsewhere>,
    images: Images,
    claims: Permitted<Vec<Differing>>,
    /// The host ports, and what the pods of each node take of it.
    on_nodes: Permitted<(Ports, BTreeMap<String, Used>)>,
    nodes: NodeStates,
    needs: Vec<Need>,
    quotas: Permitted<Quotas>,
    tailnet: Permitted<Tailnet>,
}

impl Subject for Facts {
    fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// Runs the rows; reads and dry runs only.
pub async fn run(cluster: &Cluster, intent: &Intent<'_>) -> Result<Vec<CheckResult>, ClusterError> {
    let kinds = kinds(cluster, &intent.incoming).await?;
    let needs: Vec<Need> = intent.incoming.iter().flat_map(room::needs).collect();
    let trials = trial::of_plan(intent, &kinds);
    let namespaces = namespaces::read(cluster, &trials).await?;
    let (permissions, deletions, unavailable_apis, webhooks, dry_runs, unserved, claims, on_nodes, quotas, tailnet) = futures::try_join!(
        permissions::read(cluster, intent, &kinds, &namespaces).map(unless_forbidden),
        deletions::read(cluster, &intent.incoming).map(unless_forbidden),
        cluster.unavailable_apis(),
        webhooks::read(cluster, &trials, &kinds, &namespaces),
        dry_run::read(cluster, intent, &trials, &namespaces),
        addresses::read(cluster, intent).map(unless_forbidden),
        claims::read(cluster, &intent.incoming).map(unless_forbidden),
        pods_by_node(cluster, &intent.incoming, &needs).map(unless_forbidden),
        quotas::read(cluster, &intent.incoming, (&kinds, intent.nodes)).map(unless_forbidden),
        tailnet::read(cluster, intent).map(unless_forbidden),
    )?;
    let facts = Facts {
        namespace: intent.settings.namespace.to_string(),
        dry_runs: match &permissions {
            Ok(permissions) => dry_runs.without_reported(permissions),
            Err(_) => dry_runs,
        },
        permissions,
        deletions,
        unavailable_apis,
        webhooks,
        unserved,
        elsewhere: workload_namespaces::find(intent),
        images: images::find(intent),
        claims,
        on_nodes,
        nodes: intent.nodes.clone(),
        needs,
        quotas,
        tailnet,
    };
    Ok(runner::run(ROWS, &facts, None).await)
}

/// Reads nothing if no workload needs more of a node or a new host port.
async fn pods_by_node(
    cluster: &Cluster,
    incoming: &[PlannedRelease<'_>],
    needs: &[Need],
) -> Result<(Ports, BTreeMap<String, Used>), ClusterError> {
    let ports: Vec<NeededPort> = incoming.iter().flat_map(host_ports::needed).collect();
    let is_needed = !(ports.is_empty() && needs.is_empty());
    let pods = if is_needed { cluster.pods_by_node().await? } else { PodsByNode::default() };
    Ok((host_ports::compare(ports, &pods.ports), pods.used))
}

//! Readiness of the stack's workloads.

use crate::check::node_coverage;
use crate::check::row::{Finding, Row};
use crate::check::verify::context::StackContext;
use crate::cluster::{ClusterError, Readiness, TrackedRelease};

pub(super) const ROWS: &[Row<StackContext>] =
    &[
        Row::new("workloads-available", "workloads", "every workload of the stack is available", |context| {
            Box::pin(available(context))
        })
        .within(30)
        .hint("see `kubectl -n NAMESPACE get pods`, and `kubectl describe` of the reported one"),
        Row::new("nodes-covered", "workloads", "every node has metrics and logs", |context| {
            Box::pin(covered(context))
        })
        .warns()
        .hint("see `kubectl get nodes` and `kubectl describe node` of those that are not ready; remove a node that does not return with `kubectl delete node`"),
    ];

async fn covered(context: &StackContext) -> Result<Finding, String> {
    match context.node_states().await {
        Ok(nodes) => Ok(node_coverage::judge(nodes)),
        Err(ClusterError::Forbidden { message }) => Ok(Finding::skip(format!("permission denied: {message}"))),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads the live objects, with the rules of the wait after an install.
async fn available(context: &StackContext) -> Result<Finding, String> {
    let message = |error: ClusterError| error.to_string();
    let (mut ready, mut desired) = (0, 0);
    for release in &context.installed.releases {
        let Some(manifest) = context.installed.manifests.get(release.component.as_str()) else {
            return Ok(Finding::fail(format!("release {} is not installed", release.component)));
        };
        let name = release.component.as_str();
        let tracked = TrackedRelease::new(name, &release.namespace, manifest).waiting_for(&release.wait_for);
        let found = context.cluster.readiness(&tracked).await.map_err(message)?;
        match found.verdict() {
            Readiness::Failed { diagnosis } => return Ok(Finding::fail(diagnosis.cause.clone())),
            Readiness::Waiting { why } => return Ok(Finding::not_yet(why)),
            Readiness::Ready => {}
        }
        ready += found.ready;
        desired += found.desired;
    }
    Ok(Finding::pass(format!("{ready} of {desired}")))
}

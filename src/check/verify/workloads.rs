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
        Err(ClusterError::Forbidden { message }) => Ok(Finding::forbidden(&message)),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads the live objects, with the rules of the wait after an install.
async fn available(context: &StackContext) -> Result<Finding, String> {
    let mut releases = Vec::new();
    let mut missing = None;
    for release in &context.installed.releases {
        let Some(manifest) = context.installed.manifests.get(release.component.as_str()) else {
            missing = Some(release);
            break;
        };
        let tracked = TrackedRelease::new(release.component.as_str(), &release.namespace, manifest);
        releases.push(tracked.waiting_for(&release.wait_for));
    }
    let (mut ready, mut desired) = (0, 0);
    for found in context.cluster.readiness(&releases).await.map_err(|error| error.to_string())? {
        match found.verdict() {
            Readiness::Failed { diagnosis } => return Ok(Finding::fail(diagnosis.cause.clone())),
            Readiness::Waiting { why } => return Ok(Finding::not_yet(why)),
            Readiness::Ready => {}
        }
        ready += found.ready;
        desired += found.desired;
    }
    Ok(match missing {
        Some(release) => Finding::fail(format!("release {} is not installed", release.component)),
        None => Finding::pass(format!("{ready} of {desired}")),
    })
}

//! Whether what was installed runs.

use crate::check::{CheckContext, Finding, not_yet};
use crate::cluster::{Readiness, TrackedRelease};

/// Judges by fresh lists, as the wait after an install does.
pub(super) async fn available(context: &CheckContext) -> Finding {
    not_yet(judge(context).await)
}

async fn judge(context: &CheckContext) -> Result<Finding, String> {
    let words = |error: crate::cluster::ClusterError| error.to_string();
    let (mut ready, mut desired) = (0, 0);
    for release in &context.releases {
        let Some(manifest) = context.manifests.get(release.component.as_str()) else {
            return Ok(Finding::Fail(format!("release {} is not installed", release.component)));
        };
        let name = release.component.as_str();
        let tracked = TrackedRelease::new(name, &release.namespace, manifest).waiting_for(&release.wait_for);
        let found = context.cluster.readiness(&tracked).await.map_err(words)?;
        match found.verdict() {
            Readiness::Failed { diagnosis } => return Ok(Finding::Fail(diagnosis.cause.clone())),
            Readiness::Waiting { why } => return Ok(Finding::NotYet(why.to_owned())),
            Readiness::Ready => {}
        }
        ready += found.ready;
        desired += found.desired;
    }
    Ok(Finding::Pass(format!("{ready} of {desired}")))
}

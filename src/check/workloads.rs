//! Whether what was installed runs.

use crate::check::{CheckContext, Finding, not_yet};

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
        let found = context.cluster.readiness(manifest, &release.wait_for, &release.namespace).await.map_err(words)?;
        if let Some((why, _)) = found.failed {
            return Ok(Finding::Fail(why));
        }
        if let Some(why) = found.waiting {
            return Ok(Finding::NotYet(why));
        }
        ready += found.ready;
        desired += found.desired;
    }
    Ok(Finding::Pass(format!("{ready} of {desired}")))
}

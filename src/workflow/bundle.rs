//! The charts and images of a stack for a cluster without internet. Reads no cluster: the images do not depend on it.

use std::path::PathBuf;

use futures::future::try_join_all;

use crate::config::{Draft, Provenance, Secret};
use crate::error::Error;
use crate::helm::Helm;
use crate::plan::{self, PlanError};
use crate::stack::{self, Catalogue, ClusterFacts, PublishedImage, RecordedChart, Release, image_names};

/// What a stack needs from the internet.
pub(crate) struct Needed {
    /// The archives of the charts.
    pub(crate) archives: Vec<PathBuf>,
    /// Their versions, repositories and digests.
    pub(crate) charts: Vec<RecordedChart>,
    /// The publishers' images.
    pub(crate) images: Vec<String>,
}

/// Fetches and renders the charts of the answers; with the Tailscale operator, unless the answers say that it is present.
pub(crate) async fn needed(helm: &Helm, catalogue: &Catalogue, draft: &Draft) -> Result<Needed, Error> {
    let releases = releases(catalogue, draft)?;
    let rendered = plan::render_without_cluster(helm, &releases).await?;
    let objects = rendered.iter().flat_map(|rendered| rendered.manifest.iter().chain(&rendered.hooks));
    let charts =
        releases.iter().zip(&rendered).map(|(release, rendered)| release.chart.recorded(&rendered.chart.digest));
    Ok(Needed {
        images: image_names(objects).into_iter().collect(),
        charts: charts.collect(),
        archives: rendered.into_iter().map(|rendered| rendered.chart.path).collect(),
    })
}

/// The images, with the digests that their registries have for them.
pub(crate) async fn with_digests(
    helm: &Helm,
    images: Vec<String>,
    is_wanted: bool,
) -> Result<Vec<PublishedImage>, Error> {
    if !is_wanted {
        return Ok(images.into_iter().map(|image| PublishedImage { image, digest: None }).collect());
    }
    let read = helm.image_digests(&images).await;
    let digests =
        read.map_err(|source| PlanError::Helm { what: "cannot read the digests of the images".into(), source })?;
    Ok(images.into_iter().zip(digests).map(|(image, digest)| PublishedImage { image, digest: Some(digest) }).collect())
}

/// Fetches the same charts.
pub(crate) async fn charts(helm: &Helm, catalogue: &Catalogue, draft: &Draft) -> Result<Vec<RecordedChart>, Error> {
    let releases = releases(catalogue, draft)?;
    let fetch = async |release: &Release| {
        let what = format!("cannot fetch chart {} {}", release.chart.name, release.chart.version);
        let fetched = helm.fetch(&release.chart).await.map_err(|source| PlanError::Helm { what, source })?;
        Ok::<_, Error>(release.chart.recorded(&fetched.digest))
    };
    try_join_all(releases.iter().map(fetch)).await
}

fn releases(catalogue: &Catalogue, draft: &Draft) -> Result<Vec<Release>, Error> {
    let settings = with_placeholders(draft.clone()).finish()?;
    Ok(stack::desired(catalogue, &settings, &ClusterFacts::unknown(settings.tailscale.operator))?)
}

/// Without the registry of the cluster without internet, and with secrets that nothing reads: the machine that fetches
/// the charts needs no secret.
fn with_placeholders(mut draft: Draft) -> Draft {
    draft.unset("images.registry");
    for key in ["auth0.clientSecret", "tailscale.oauth.clientSecret"] {
        draft.set_secret(key, Secret::new("not used".to_owned()));
    }
    if draft.text("tailscale.oauth.clientId").is_none() {
        // The text is a valid answer.
        let _ = draft.set("tailscale.oauth.clientId", "not-used", Provenance::Default);
    }
    draft
}

//! Installed releases, and the chart versions that the repositories offer for them. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use semver::Version;

use crate::cluster::{Cluster, ManifestObjects};
use crate::config::{ChartRepository, ComponentName, Draft};
use crate::error::Error;
use crate::helm::Helm;
use crate::plan::{self, Mirror, Offer, PlanError};
use crate::stack::{Catalogue, ChartPlace};

/// Version by component.
pub(crate) type Versions = BTreeMap<ComponentName, Version>;

/// The installed releases of the stack.
pub(crate) async fn installed(
    (cluster, helm): (&Cluster, &Helm),
    catalogue: &Catalogue,
    draft: &Draft,
) -> Result<Versions, Error> {
    let namespace = draft.namespace();
    let rows = catalogue.overview(&namespace);
    let releases = plan::installed_rows(cluster, helm.driver(), &rows, ManifestObjects::WithReadiness).await?;
    let found: Versions = rows
        .iter()
        .filter_map(|row| {
            let found = releases.iter().find(|found| found.info.is_of(row))?;
            Some((row.name.parse().ok()?, found.info.chart_version.clone()))
        })
        .collect();
    if found.is_empty() { Err(PlanError::NothingInstalled { namespace }.into()) } else { Ok(found) }
}

/// Available versions of installed releases, in the order of the catalogue; repositories are queried in parallel.
pub(crate) async fn offers(
    helm: &Helm,
    catalogue: &Catalogue,
    draft: &Draft,
    installed: Versions,
) -> Result<Vec<Offer>, Error> {
    let (mirror, access) = (mirror(draft)?, &draft.repository_access()?);
    let components: Vec<&ComponentName> =
        catalogue.versions().map(|(name, _)| name).filter(|name| installed.contains_key(name)).collect();
    let mut places: BTreeMap<&ComponentName, Vec<ChartPlace>> = BTreeMap::new();
    for &component in &components {
        let current = &installed[component];
        let left = |place: &ChartPlace| place.below.as_ref().is_some_and(|below| below <= current);
        let all = catalogue.places(component, mirror.as_ref()).into_iter();
        places.insert(component, all.filter(|place| !left(place)).collect());
    }
    let mut charts: BTreeMap<&ChartRepository, BTreeSet<&str>> = BTreeMap::new();
    for place in places.values().flatten() {
        charts.entry(&place.repository).or_default().insert(&place.chart);
    }
    let reads = charts.into_iter().map(|(repository, charts)| async move {
        let charts: Vec<&str> = charts.into_iter().collect();
        let what = format!("cannot list the versions of {} in {repository}", charts.join(", "));
        let found =
            helm.versions((repository, access), &charts).await.map_err(|source| PlanError::Helm { what, source })?;
        Ok::<_, PlanError>((repository, found))
    });
    let found: BTreeMap<_, _> = try_join_all(reads).await?.into_iter().collect();
    let offer = |component: &ComponentName| {
        let of_place = |place: &ChartPlace| {
            let versions = found.get(&place.repository).and_then(|charts| charts.get(&place.chart)).into_iter();
            versions.flatten().filter(|version| place.has(version)).cloned().collect::<Vec<_>>()
        };
        let mut versions: Vec<Version> = places[component].iter().flat_map(of_place).collect();
        versions.sort_by(|one, other| other.cmp(one));
        Some(Offer {
            component: component.clone(),
            installed: installed[component].clone(),
            versions,
            path: catalogue.path(component)?.clone(),
            from_mirror: if mirror.is_some() { Mirror::ForAll } else { Mirror::None },
        })
    };
    Ok(components.into_iter().filter_map(offer).collect())
}

/// The answer `charts.repository`.
fn mirror(draft: &Draft) -> Result<Option<ChartRepository>, Error> {
    let Some((text, _)) = draft.text("charts.repository") else { return Ok(None) };
    let rejected = |invalid| Error::Usage { message: format!("charts.repository {text}: {invalid}"), hint: None };
    text.parse().map(Some).map_err(rejected)
}

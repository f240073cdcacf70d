//! The installed releases, from helm's records. helm lists only the records of its own storage driver. Those of the other
//! driver are read, too: a stack that is recorded there must not be planned as not installed.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use serde_json::Value;

use crate::cluster::{
    Cluster, ClusterError, ManifestObjects, RecordedRelease, ReleaseHead, RevisionRecord, installed_names, permitted,
};
use crate::helm::{ReleaseInfo, ReleaseStatus};
use crate::plan::PlanError;
use crate::stack::{CatalogueEntry, HelmDriver};

/// An installed release, with the contents of its current revision.
#[derive(Clone, Debug)]
pub struct Installed {
    /// As helm lists it.
    pub info: ReleaseInfo,
    /// User-supplied values.
    pub values: Value,
    /// Its objects, without hooks: all or those with a readiness.
    pub manifest: Vec<Value>,
    /// Every revision of it, the oldest first.
    pub records: Vec<RevisionRecord>,
}

impl Installed {
    /// `None` without a record.
    fn new(records: Vec<RevisionRecord>, recorded: RecordedRelease) -> Option<Installed> {
        let RecordedRelease { chart, chart_version, app_version, status, values, manifest } = recorded;
        let record = records.last()?.clone();
        let info = release_info(ReleaseHead { record, chart, chart_version, app_version, status });
        Some(Installed { info, values, manifest, records })
    }
}

fn release_info(head: ReleaseHead) -> ReleaseInfo {
    let ReleaseHead { record, chart, chart_version, app_version, status } = head;
    ReleaseInfo {
        namespace: record.object().0.namespace.clone().unwrap_or_default(),
        name: record.release,
        revision: record.revision,
        status: ReleaseStatus::of(&status),
        chart,
        chart_version,
        app_version,
    }
}

/// Every release that helm lists, of all namespaces.
pub async fn releases_everywhere(cluster: &Cluster, driver: HelmDriver) -> Result<Vec<ReleaseInfo>, ClusterError> {
    Ok(cluster.releases_everywhere(driver).await?.into_iter().map(release_info).collect())
}

/// Those of the (release, namespace) that are installed; an error if the other storage driver has a record of one.
pub async fn installed_releases<'a>(
    cluster: &Cluster,
    driver: HelmDriver,
    desired: impl IntoIterator<Item = (&'a str, &'a str)>,
    objects: ManifestObjects,
) -> Result<Vec<Installed>, PlanError> {
    let mut desired_in: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, namespace) in desired {
        desired_in.entry(namespace).or_default().insert(name);
    }
    let read = desired_in.iter().map(async |(namespace, names)| {
        let (found, of_other) = futures::try_join!(
            cluster.releases((namespace, driver), names, objects),
            elsewhere(cluster, driver, namespace, names)
        )?;
        let found = found.into_iter().filter_map(|(records, recorded)| Installed::new(records, recorded));
        Ok::<_, ClusterError>((found.collect::<Vec<_>>(), of_other))
    });
    let (listed, of_other): (Vec<_>, Vec<_>) = try_join_all(read).await?.into_iter().unzip();
    let (listed, of_other) = (listed.concat(), of_other.concat());
    if of_other.is_empty() {
        return Ok(listed);
    }
    let is_listed = |(name, namespace): &(String, String)| {
        listed.iter().any(|found| found.info.name == *name && found.info.namespace == *namespace)
    };
    let (both, other_only) = of_other.into_iter().partition(is_listed);
    Err(PlanError::OtherDriver { uses: driver, other_only, both })
}

/// The same for the catalogue's rows. Without the permission to read the namespace of an optional one, this user has not
/// installed it.
pub async fn installed_rows(
    cluster: &Cluster,
    driver: HelmDriver,
    rows: &[CatalogueEntry],
    objects: ManifestObjects,
) -> Result<Vec<Installed>, PlanError> {
    let named = |optional: bool| {
        let rows = rows.iter().filter(move |row| row.optional == optional);
        rows.map(|row| (row.name.as_str(), row.namespace.as_str()))
    };
    let (required, optional) = futures::join!(
        installed_releases(cluster, driver, named(false), objects),
        installed_releases(cluster, driver, named(true), objects),
    );
    let optional = match optional {
        Err(PlanError::Cluster(ClusterError::Forbidden { .. })) => Vec::new(),
        optional => optional?,
    };
    Ok([required?, optional].concat())
}

/// (release, namespace) that the other driver's records list as installed. Without the permission to read them, this
/// user cannot have written any.
async fn elsewhere(
    cluster: &Cluster,
    driver: HelmDriver,
    namespace: &str,
    names: &BTreeSet<&str>,
) -> Result<Vec<(String, String)>, ClusterError> {
    let records = permitted(cluster.revision_records(namespace, driver.other()).await)?.unwrap_or_default();
    let found = installed_names(&records).into_iter().filter(|name| names.contains(name));
    Ok(found.map(|name| (name.to_owned(), namespace.to_owned())).collect())
}

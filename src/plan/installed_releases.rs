//! The installed releases, from helm's records. helm lists only the records of its own storage driver. Those of the other
//! driver are read, too: a stack that is recorded there must not be planned as not installed.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use serde_json::Value;

use crate::cluster::{
    Cluster, ClusterError, RecordedRelease, RevisionRecord, current, installed_names, permitted, revisions_of,
};
use crate::helm::{ReleaseInfo, ReleaseStatus};
use crate::plan::PlanError;
use crate::stack::HelmDriver;

/// An installed release, with the contents of its current revision.
#[derive(Clone, Debug)]
pub struct Installed {
    /// As helm lists it.
    pub info: ReleaseInfo,
    /// User-supplied values.
    pub values: Value,
    /// Its objects, without hooks.
    pub manifest: Vec<Value>,
    /// Every revision of it, the oldest first.
    pub records: Vec<RevisionRecord>,
}

impl Installed {
    fn new(records: Vec<RevisionRecord>, current: &RevisionRecord, recorded: RecordedRelease) -> Installed {
        let RecordedRelease { chart, chart_version, app_version, status, values, manifest } = recorded;
        let info = ReleaseInfo {
            name: current.release.clone(),
            namespace: current.object().0.namespace.clone().unwrap_or_default(),
            revision: current.revision,
            status: ReleaseStatus::of(&status),
            chart,
            chart_version,
            app_version,
        };
        Installed { info, values, manifest, records }
    }
}

/// Those of the (release, namespace) that are installed; an error if the other storage driver has a record of one.
pub async fn installed_releases<'a>(
    cluster: &Cluster,
    driver: HelmDriver,
    desired: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<Installed>, PlanError> {
    let mut desired_in: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, namespace) in desired {
        desired_in.entry(namespace).or_default().insert(name);
    }
    let read = desired_in.iter().map(async |(namespace, names)| {
        futures::try_join!(
            installed_in(cluster, driver, namespace, names),
            elsewhere(cluster, driver, namespace, names)
        )
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

async fn installed_in(
    cluster: &Cluster,
    driver: HelmDriver,
    namespace: &str,
    names: &BTreeSet<&str>,
) -> Result<Vec<Installed>, ClusterError> {
    let records = cluster.revision_records(namespace, driver).await?;
    let read = names.iter().filter_map(|name| {
        let current = current(&records, name)?;
        let own: Vec<RevisionRecord> = revisions_of(&records, name).into_iter().cloned().collect();
        Some(async move { Ok((own, current, cluster.recorded(current).await?)) })
    });
    let read = try_join_all(read).await?.into_iter();
    Ok(read.filter_map(|(own, current, recorded)| Some(Installed::new(own, current, recorded?))).collect())
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

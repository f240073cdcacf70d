//! The installed releases, as helm lists them. helm lists only the records of its own storage driver. The records of
//! the other driver are read, too: a stack that is recorded there must not be planned as not installed.

use std::collections::BTreeSet;

use futures::future::try_join_all;

use crate::cluster::{Cluster, installed_names, permitted};
use crate::helm::{Helm, ReleaseInfo};
use crate::plan::PlanError;

/// Releases in the namespaces of these (release, namespace); an error if the other storage driver has a record of one.
pub async fn installed_releases<'a>(
    cluster: &Cluster,
    helm: &Helm,
    desired: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<ReleaseInfo>, PlanError> {
    let desired: BTreeSet<(&str, &str)> = desired.into_iter().collect();
    let namespaces: BTreeSet<&str> = desired.iter().map(|(_, namespace)| *namespace).collect();
    let failed = |source| PlanError::Helm { what: "cannot list the releases".into(), source };
    let lists = async { try_join_all(namespaces.iter().map(|namespace| helm.list(namespace))).await.map_err(failed) };
    let elsewhere = try_join_all(namespaces.iter().map(|namespace| elsewhere(cluster, helm, namespace)));
    let (lists, elsewhere) = futures::try_join!(lists, elsewhere)?;
    let listed = lists.concat();
    let of_other: Vec<(String, String)> = elsewhere
        .into_iter()
        .flatten()
        .filter(|(name, namespace)| desired.contains(&(name.as_str(), namespace.as_str())))
        .collect();
    if of_other.is_empty() {
        return Ok(listed);
    }
    let is_listed = |(name, namespace): &(String, String)| {
        listed.iter().any(|info| info.name == *name && info.namespace == *namespace)
    };
    let (both, other_only) = of_other.into_iter().partition(is_listed);
    Err(PlanError::OtherDriver { uses: helm.driver(), other_only, both })
}

/// (release, namespace) that the other driver's records list as installed. Without the permission to read them, this
/// user cannot have written any.
async fn elsewhere(cluster: &Cluster, helm: &Helm, namespace: &str) -> Result<Vec<(String, String)>, PlanError> {
    let records = permitted(cluster.revision_records(namespace, helm.driver().other()).await)?.unwrap_or_default();
    Ok(installed_names(&records).into_iter().map(|name| (name.to_owned(), namespace.to_owned())).collect())
}

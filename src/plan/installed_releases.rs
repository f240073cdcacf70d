//! The releases that stand, as helm lists them. helm sees only those of its own driver, so the records of the other one
//! are looked for, too: a stack that stands by them would be planned as if nothing stood.

use std::collections::BTreeSet;

use futures::future::try_join_all;

use crate::cluster::{Cluster, ClusterError, standing};
use crate::helm::{Helm, ReleaseInfo};
use crate::plan::PlanError;

/// Releases of the namespaces in which these (release, namespace) are or would be; an error where helm keeps one of them
/// elsewhere than the driver in use would look for it.
pub async fn installed_releases<'a>(
    cluster: &Cluster,
    helm: &Helm,
    wanted: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<ReleaseInfo>, PlanError> {
    let wanted: BTreeSet<(&str, &str)> = wanted.into_iter().collect();
    let namespaces: BTreeSet<&str> = wanted.iter().map(|(_, namespace)| *namespace).collect();
    let failed = |source| PlanError::Helm { what: "cannot list the releases".into(), source };
    let lists = async { try_join_all(namespaces.iter().map(|namespace| helm.list(namespace))).await.map_err(failed) };
    let elsewhere = try_join_all(namespaces.iter().map(|namespace| elsewhere(cluster, helm, namespace)));
    let (lists, elsewhere) = futures::try_join!(lists, elsewhere)?;
    let listed = lists.concat();
    let of_other: Vec<(String, String)> = elsewhere
        .into_iter()
        .flatten()
        .filter(|(name, namespace)| wanted.contains(&(name.as_str(), namespace.as_str())))
        .collect();
    if of_other.is_empty() {
        return Ok(listed);
    }
    let is_listed = |(name, namespace): &(String, String)| {
        listed.iter().any(|info| info.name == *name && info.namespace == *namespace)
    };
    let (twice, once) = of_other.into_iter().partition(is_listed);
    Err(PlanError::OtherDriver { uses: helm.driver(), once, twice })
}

/// (release, namespace) of what stands by the records of the driver that is not in use. Where these may not be read,
/// whoever asks cannot have written any.
async fn elsewhere(cluster: &Cluster, helm: &Helm, namespace: &str) -> Result<Vec<(String, String)>, PlanError> {
    match cluster.revision_records(namespace, helm.driver().other()).await {
        Ok(records) => Ok(standing(&records).into_iter().map(|name| (name.to_owned(), namespace.to_owned())).collect()),
        Err(ClusterError::Forbidden { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

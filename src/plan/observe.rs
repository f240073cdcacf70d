//! What stands in the cluster, read once. Reads only.

use std::collections::BTreeMap;

use futures::future::{join_all, try_join_all};
use serde_json::Value;

use crate::cluster::{Cluster, ObjectRef};
use crate::config::{OperatorMode, Settings};
use crate::helm::{Helm, HelmError, ReleaseInfo, ReleaseStatus};
use crate::plan::PlanError;
use crate::plan::difference::contains;
use crate::stack::{
    DOOR_SECRET, GRAFANA_SECRET, LiveFacts, OwnObject, Release, TAILSCALE_NAMESPACE, TAILSCALE_SECRET, WEBHOOK_SECRET,
};

/// What stands, for the releases of the catalogue.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Releases by name, those of the catalogue only.
    pub releases: BTreeMap<String, ReleaseInfo>,
    /// User-supplied values of each deployed release.
    pub values: BTreeMap<String, Value>,
    /// Objects of each deployed release's manifest.
    pub manifests: BTreeMap<String, Vec<Value>>,
    /// Objects that should stand but do not, or differ from ours, by release: one sentence fragment each.
    pub drift: BTreeMap<String, Vec<String>>,
}

/// Facts that only the cluster knows and that the wanted state depends on.
pub async fn live_facts(cluster: &Cluster, settings: &Settings) -> Result<LiveFacts, PlanError> {
    let namespace = settings.namespace.as_str();
    let (oauth2_proxy, grafana, webhook, tailscale, classes) = futures::try_join!(
        cluster.secret(namespace, DOOR_SECRET),
        cluster.secret(namespace, GRAFANA_SECRET),
        cluster.secret(namespace, WEBHOOK_SECRET),
        cluster.secret(TAILSCALE_NAMESPACE, TAILSCALE_SECRET),
        cluster.ingress_classes(),
    )?;
    let install_tailscale_operator = match settings.tailscale.operator {
        OperatorMode::Install => true,
        OperatorMode::Present => false,
        OperatorMode::Auto => !classes.iter().any(|class| class == "tailscale") || tailscale.is_some(),
    };
    Ok(LiveFacts {
        install_tailscale_operator,
        door: oauth2_proxy,
        grafana,
        webhook,
        tailscale,
        now: jiff::Timestamp::now(),
    })
}

/// Reads releases, their values and manifests, and looks for drift.
pub async fn observe(cluster: &Cluster, helm: &Helm, wanted: &[Release]) -> Result<Observed, PlanError> {
    let releases = standing_releases(helm, wanted).await?;
    let read = releases.values().filter(|info| info.status == ReleaseStatus::Deployed).map(|info| async {
        let (values, manifest) =
            futures::try_join!(helm.values(&info.name, &info.namespace), helm.manifest(&info.name, &info.namespace))
                .map_err(|source| reading(&info.name, source))?;
        Ok::<_, PlanError>((info.name.clone(), values, manifest))
    });
    let mut observed = Observed { releases: releases.clone(), ..Observed::default() };
    for (name, values, manifest) in try_join_all(read).await? {
        observed.values.insert(name.clone(), values);
        observed.manifests.insert(name, manifest);
    }
    for release in wanted {
        let name = release.component.as_str();
        let Some(manifest) = observed.manifests.get(name) else { continue };
        let mut drift = missing_objects(cluster, manifest, &release.namespace).await?;
        drift.extend(differing_objects(cluster, &release.objects).await?);
        observed.drift.insert(name.to_owned(), drift);
    }
    Ok(observed)
}

async fn standing_releases(helm: &Helm, wanted: &[Release]) -> Result<BTreeMap<String, ReleaseInfo>, PlanError> {
    let mut namespaces: Vec<&str> = wanted.iter().map(|release| release.namespace.as_str()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let lists = try_join_all(namespaces.iter().map(|namespace| helm.list(namespace)))
        .await
        .map_err(|source| PlanError::Helm { what: "cannot list the releases".into(), source })?;
    let is_wanted = |info: &ReleaseInfo| {
        wanted.iter().any(|release| release.component.as_str() == info.name && release.namespace == info.namespace)
    };
    Ok(lists.into_iter().flatten().filter(is_wanted).map(|info| (info.name.clone(), info)).collect())
}

fn reading(release: &str, source: HelmError) -> PlanError {
    PlanError::Helm { what: format!("cannot read release {release}"), source }
}

/// One list per kind tells which objects of a manifest are gone, instead of one request per object.
async fn missing_objects(cluster: &Cluster, manifest: &[Value], namespace: &str) -> Result<Vec<String>, PlanError> {
    let mut kinds: BTreeMap<(String, String, Option<String>), Vec<String>> = BTreeMap::new();
    for object in manifest {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let own = text("/metadata/namespace");
        let place = (!own.is_empty() && own != namespace).then_some(own);
        kinds.entry((text("/apiVersion"), text("/kind"), place)).or_default().push(text("/metadata/name"));
    }
    let lookups = kinds.iter().map(|((api_version, kind, place), names)| async move {
        let live = cluster.names(api_version, kind, place.as_deref().or(Some(namespace))).await?;
        let gone = names.iter().filter(|name| !live.contains(*name)).map(|name| format!("{kind} {name} is missing"));
        Ok::<_, PlanError>(gone.collect::<Vec<_>>())
    });
    Ok(try_join_all(lookups).await?.concat())
}

async fn differing_objects(cluster: &Cluster, objects: &[OwnObject]) -> Result<Vec<String>, PlanError> {
    let lookups = objects.iter().map(|object| async move {
        let reference = ObjectRef::of(&object.manifest);
        let live = cluster.get(&reference).await?;
        Ok::<_, PlanError>(difference(&reference, live.as_ref(), object))
    });
    join_all(lookups).await.into_iter().filter_map(Result::transpose).collect()
}

fn difference(reference: &ObjectRef, live: Option<&Value>, wanted: &OwnObject) -> Option<String> {
    let name = format!("{} {}", reference.kind, reference.name);
    let Some(live) = live else { return Some(format!("{name} is missing")) };
    if !contains(live, &wanted.manifest) {
        return Some(format!("{name} differs from ours"));
    }
    let same_data = wanted.secret_data.iter().all(|(key, value)| {
        live.pointer("/data").and_then(|data| data.get(key)).and_then(Value::as_str) == Some(&encode(value.expose()))
    });
    (!same_data).then(|| format!("{name} has other data"))
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

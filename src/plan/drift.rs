//! Compares the objects of releases with the live ones. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Reconciler, namespace_of, permitted};
use crate::plan::PlanError;
use crate::plan::differences::{ONLY_EXISTENCE, difference, name, own_difference, with_masked_data};
use crate::stack::OwnObject;

/// Drift of one release, or of its own objects.
#[derive(Clone, Debug, Default)]
pub struct Drift {
    /// A sentence fragment each, e.g. `Deployment oauth2-proxy differs at spec.replicas`.
    pub reasons: Vec<String>,
    /// Objects to repair.
    pub objects: Vec<Drifted>,
    /// Whether the API server does not serve a kind of the manifest; only the chart's CRDs restore it.
    pub kinds_missing: bool,
}

/// An object that differs from its desired state.
#[derive(Clone, Debug)]
pub struct Drifted {
    /// Live object; `None`: it does not exist.
    pub live: Option<Value>,
    /// Desired object; without new data for own Secrets.
    pub desired: Value,
}

/// Drift of a release and of its own objects.
#[derive(Clone, Debug, Default)]
pub struct ReleaseDrift {
    /// From the release's manifest.
    pub manifest: Drift,
    /// From the own objects.
    pub own: Drift,
    /// What reconciles its objects, if it still exists.
    pub reconciler: Option<Reconciler>,
}

/// The objects that a release should have.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// Those of its manifest.
    pub manifest: &'a [Value],
    /// The namespace of those that name none.
    pub namespace: &'a str,
    /// Its own objects.
    pub own: &'a [OwnObject],
}

/// An expected object.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    /// Position of its release.
    release: usize,
    /// Its namespace, if its kind has one.
    place: Option<&'a str>,
    object: &'a Value,
    /// The own object, and its position among those of its release.
    own: Option<(&'a OwnObject, usize)>,
}

/// What an expected object is compared to.
struct Compared<'a> {
    release: usize,
    difference: Option<Difference<'a>>,
    reconciler: Option<Reconciler>,
}

/// How an object differs.
struct Difference<'a> {
    wanted: Wanted<'a>,
    reason: String,
    /// `None`: its kind is not served.
    object: Option<Drifted>,
}

/// Compares the objects of several releases with the live ones: one list of a kind for all of them, not a request for
/// each object.
pub async fn of_releases(cluster: &Cluster, releases: &[Expected<'_>]) -> Result<Vec<ReleaseDrift>, PlanError> {
    let mut kinds: BTreeMap<(&str, &str), Vec<Wanted<'_>>> = BTreeMap::new();
    for wanted in releases.iter().enumerate().flat_map(|(release, expected)| expected.wanted(release)) {
        let text = |key: &str| wanted.object.get(key).and_then(Value::as_str).unwrap_or_default();
        kinds.entry((text("apiVersion"), text("kind"))).or_default().push(wanted);
    }
    let compared = kinds.into_iter().map(|(kind, wanted)| of_kind(cluster, kind, wanted));
    let mut drift = vec![ReleaseDrift::default(); releases.len()];
    let mut found = Vec::new();
    for Compared { release, difference, reconciler } in try_join_all(compared).await?.into_iter().flatten() {
        let known = &mut drift[release].reconciler;
        *known = known.take().or(reconciler);
        found.extend(difference);
    }
    // Those of a manifest are reported by kind, the own objects in their order.
    found.sort_by_key(|difference| difference.wanted.own.map(|(_, position)| position));
    for Difference { wanted, reason, object } in found {
        let of_release = &mut drift[wanted.release];
        let drift = if wanted.own.is_some() { &mut of_release.own } else { &mut of_release.manifest };
        drift.kinds_missing |= object.is_none();
        drift.reasons.push(reason);
        drift.objects.extend(object);
    }
    for ReleaseDrift { reconciler, .. } in &mut drift {
        if let Some(found) = reconciler
            && !cluster.reconciles(found).await?
        {
            *reconciler = None;
        }
    }
    Ok(drift)
}

/// Compares own objects with the live ones.
pub async fn of_own_objects(cluster: &Cluster, own: &[OwnObject]) -> Result<Drift, PlanError> {
    let found = of_releases(cluster, &[Expected { manifest: &[], namespace: "", own }]).await?;
    Ok(found.into_iter().map(|drift| drift.own).next().unwrap_or_default())
}

impl<'a> Expected<'a> {
    fn wanted(self, release: usize) -> impl Iterator<Item = Wanted<'a>> {
        let of_manifest = self.manifest.iter().map(move |object| {
            let place = Some(namespace_of(object, self.namespace));
            Wanted { release, place, object, own: None }
        });
        let own = self.own.iter().enumerate().map(move |(position, own)| {
            let place = own.manifest.pointer("/metadata/namespace").and_then(Value::as_str);
            Wanted { release, place, object: &own.manifest, own: Some((own, position)) }
        });
        of_manifest.chain(own)
    }
}

async fn of_kind<'a>(
    cluster: &Cluster,
    kind: (&str, &str),
    wanted: Vec<Wanted<'a>>,
) -> Result<Vec<Compared<'a>>, PlanError> {
    let Some(is_namespaced) = cluster.is_namespaced(kind).await? else {
        let unserved = of_unserved(kind, wanted).into_iter().map(|difference| Compared {
            release: difference.wanted.release,
            difference: Some(difference),
            reconciler: None,
        });
        return Ok(unserved.collect());
    };
    let mut places: BTreeMap<Option<&str>, Vec<Wanted<'_>>> = BTreeMap::new();
    for wanted in wanted {
        places.entry(wanted.place.filter(|_| is_namespaced)).or_default().push(wanted);
    }
    let compared = places.into_iter().map(async |(place, wanted)| {
        let live = live(cluster, kind, place, &wanted).await?;
        let live: BTreeMap<&str, &Value> = live.iter().map(|live| (name(live), live)).collect();
        let compare = |wanted: Wanted<'a>| {
            let live = live.get(name(wanted.object)).copied();
            let reconciler = live.and_then(Reconciler::of);
            Compared { release: wanted.release, difference: differs(wanted, live), reconciler }
        };
        Ok::<_, PlanError>(wanted.into_iter().map(compare).collect::<Vec<_>>())
    });
    Ok(try_join_all(compared).await?.into_iter().flatten().collect())
}

/// The live objects with the names of the wanted ones; only the names of kinds of which only the existence is checked.
async fn live(
    cluster: &Cluster,
    (api_version, kind): (&str, &str),
    place: Option<&str>,
    wanted: &[Wanted<'_>],
) -> Result<Vec<Value>, PlanError> {
    if ONLY_EXISTENCE.contains(&kind)
        && let Some(names) = permitted(cluster.names(api_version, kind, place).await)?
    {
        return Ok(names.into_iter().map(|name| json!({"metadata": {"name": name}})).collect());
    }
    let names: BTreeSet<&str> = wanted.iter().map(|wanted| name(wanted.object)).collect();
    Ok(cluster.find(api_version, kind, place, &names).await?.unwrap_or_default())
}

fn differs<'a>(wanted: Wanted<'a>, live: Option<&Value>) -> Option<Difference<'a>> {
    let object = wanted.object;
    let (reason, desired) = match wanted.own {
        Some((own, _)) => (own_difference(live, own)?, with_masked_data(own, live)),
        None => {
            let reason = difference(live, object)?;
            (format!("{} {} {reason}", object["kind"].as_str().unwrap_or_default(), name(object)), object.clone())
        }
    };
    Some(Difference { wanted, reason, object: Some(Drifted { live: live.cloned(), desired }) })
}

/// Own objects are missing; one reason for those of each manifest.
fn of_unserved<'a>((api_version, kind): (&str, &str), wanted: Vec<Wanted<'a>>) -> Vec<Difference<'a>> {
    let mut reported = BTreeSet::new();
    let of_manifests = wanted.iter().filter(|wanted| wanted.own.is_none() && reported.insert(wanted.release));
    let reason = format!("the API server no longer serves {kind} of {api_version}");
    let mut found: Vec<Difference<'_>> =
        of_manifests.map(|wanted| Difference { wanted: *wanted, reason: reason.clone(), object: None }).collect();
    found.extend(wanted.into_iter().filter(|wanted| wanted.own.is_some()).filter_map(|own| differs(own, None)));
    found
}

//! From a kubeconfig to a client that has answered once; every way in which that fails is told apart.

mod access;
mod entries;
mod kubeconfig;
mod route;

use std::collections::BTreeSet;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::cluster::connect::access::Access;
use crate::cluster::connect::kubeconfig::Places;
use crate::cluster::connect::route::Route;
use crate::cluster::count::RequestCounts;
use crate::cluster::error::innermost;
use crate::cluster::fence::Fence;
use crate::cluster::identity::{Probe, SameCluster, identity};
use crate::cluster::silence::Answers;
use crate::cluster::time_limit::TimeLimits;
use crate::cluster::{Cluster, ClusterError, ClusterTarget};

const USER_AGENT: &str = concat!("tailwatch/", env!("CARGO_PKG_VERSION"));
/// How long the API server may take for its first answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl Cluster {
    /// Reads the kubeconfig and asks the API server for its version, so that every later error is about the work.
    pub async fn connect(target: &ClusterTarget) -> Result<Cluster, ClusterError> {
        let access = Access::of(target)?;
        let mut config = configuration(&access, &target.withheld).await?;
        // So that an audit log tells who it was.
        config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(USER_AGENT)));
        let server = config.cluster_url.to_string();
        let counts = RequestCounts::recording(target.writes.clone());
        let (fence, answers) = (Fence::default(), Answers::default());
        let probe = Probe::new(config.clone());
        let client: Client = ClientBuilder::try_from(config.clone())
            .map_err(|error| bad_kubeconfig(&access, innermost(&error)))?
            .with_layer(&counts)
            .with_layer(&TimeLimits::new(&server, &fence, &answers))
            .with_layer(&SameCluster(probe.clone()))
            .build();
        let unreachable = |reason: String| {
            let way = access.route.in_words();
            ClusterError::Unreachable { server: format!("{server}{way}"), reason }
        };
        let version = match tokio::time::timeout(PATIENCE, client.apiserver_version()).await {
            Ok(Ok(version)) => version,
            Ok(Err(kube::Error::Api(status))) => {
                let told = status.message.lines().next().unwrap_or_default().chars().take(160).collect::<String>();
                let reason = format!("it answers {}: {told}", status.code);
                return Err(match ClusterError::from_kube("cannot read the version", kube::Error::Api(status)) {
                    ClusterError::Refused { .. } => unreachable(reason),
                    refused => refused,
                });
            }
            Ok(Err(kube::Error::SerdeError(_))) => {
                return Err(unreachable("what answers there is no API server".into()));
            }
            Ok(Err(kube::Error::Auth(error))) => {
                return Err(bad_kubeconfig(&access, innermost(&error)));
            }
            Ok(Err(error)) => return Err(unreachable(innermost(&error))),
            Err(_) => return Err(unreachable(format!("no usable answer within {} s", PATIENCE.as_secs()))),
        };
        let version =
            version.git_version.trim_start_matches('v').split(['+', '-']).next().unwrap_or_default().to_owned();
        let identity = identity(&client, &config, &probe).await?;
        let Access { context, snapshot, .. } = access;
        let kinds = Default::default();
        Ok(Cluster { client, counts, context, snapshot, server, version, kinds, fence, answers, identity, probe })
    }
}

/// Names of the contexts, and the current one; empty where there is no kubeconfig but an in-cluster account.
pub fn contexts(target: &ClusterTarget) -> Result<(Vec<String>, Option<String>), ClusterError> {
    let places = Places::of(target);
    let Some(kubeconfig) = places.read()? else {
        let is_pod = !places.is_explicit() && access::is_in_cluster();
        return if is_pod { Ok((Vec::new(), None)) } else { Err(places.missing()) };
    };
    let current = Some(kubeconfig.current.clone()).filter(|name| !name.is_empty());
    Ok((kubeconfig.context_names(), current))
}

async fn configuration(access: &Access, withheld: &BTreeSet<String>) -> Result<Config, ClusterError> {
    let mut kubeconfig: Kubeconfig = serde_json::from_str(access.snapshot.document.expose())
        .map_err(|error| bad_kubeconfig(access, error.to_string()))?;
    withhold(&mut kubeconfig, withheld);
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| bad_kubeconfig(access, error.to_string()))?;
    config.proxy_url = match &access.route {
        Route::Direct => None,
        Route::Proxy { url, .. } => url.as_str().parse().ok(),
    };
    Ok(config)
}

/// Exec plugins are started by the client, with our environment but these variables.
fn withhold(kubeconfig: &mut Kubeconfig, names: &BTreeSet<String>) {
    let users = kubeconfig.auth_infos.iter_mut().filter_map(|user| user.auth_info.as_mut());
    for plugin in users.filter_map(|user| user.exec.as_mut()) {
        plugin.drop_env.get_or_insert_default().extend(names.iter().cloned());
    }
}

fn bad_kubeconfig(access: &Access, reason: String) -> ClusterError {
    ClusterError::BadKubeconfig {
        place: access.place.clone(),
        reason,
        next: "see whether `kubectl config view` accepts it".into(),
    }
}

//! From a kubeconfig to a client that has answered once; every way in which that fails is told apart.

use std::path::PathBuf;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use crate::cluster::count::RequestCounts;
use crate::cluster::error::innermost;
use crate::cluster::{Cluster, ClusterError, ClusterTarget};

/// How long the API server may take for its first answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl Cluster {
    /// Reads the kubeconfig and asks the API server for its version, so that every later error is about the work.
    pub async fn connect(target: &ClusterTarget) -> Result<Cluster, ClusterError> {
        let (config, context) = configuration(target).await?;
        let server = config.cluster_url.to_string();
        let counts = RequestCounts::default();
        let client: Client = ClientBuilder::try_from(config)
            .map_err(|error| ClusterError::BadKubeconfig { reason: innermost(&error) })?
            .with_layer(&counts)
            .build();
        let unreachable = |reason: String| ClusterError::Unreachable { server: server.clone(), reason };
        let version = match tokio::time::timeout(PATIENCE, client.apiserver_version()).await {
            Ok(Ok(version)) => version,
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 401 | 403) => {
                return Err(ClusterError::from_kube("cannot read the version", kube::Error::Api(status)));
            }
            Ok(Err(kube::Error::Auth(error))) => {
                return Err(ClusterError::BadKubeconfig { reason: innermost(&error) });
            }
            Ok(Err(error)) => return Err(unreachable(innermost(&error))),
            Err(_) => return Err(unreachable(format!("no answer within {} s", PATIENCE.as_secs()))),
        };
        let version =
            version.git_version.trim_start_matches('v').split(['+', '-']).next().unwrap_or_default().to_owned();
        Ok(Cluster { client, counts, context, version, kinds: Default::default() })
    }
}

/// Names of the contexts, and the current one; empty where there is no kubeconfig but an in-cluster account.
pub fn contexts(target: &ClusterTarget) -> Result<(Vec<String>, Option<String>), ClusterError> {
    let kubeconfig = read(target)?;
    Ok((names(&kubeconfig), kubeconfig.current_context))
}

fn names(kubeconfig: &Kubeconfig) -> Vec<String> {
    kubeconfig.contexts.iter().map(|context| context.name.clone()).collect()
}

async fn configuration(target: &ClusterTarget) -> Result<(Config, Option<String>), ClusterError> {
    let kubeconfig = match read(target) {
        Err(ClusterError::NoKubeconfig { places }) => {
            return match Config::incluster() {
                Ok(config) => Ok((config, None)),
                Err(_) => Err(ClusterError::NoKubeconfig { places }),
            };
        }
        other => other?,
    };
    let known = names(&kubeconfig);
    let wanted = target.context.clone().or_else(|| kubeconfig.current_context.clone().filter(|name| !name.is_empty()));
    if let Some(context) = wanted.as_ref().filter(|context| !known.contains(context)) {
        return Err(ClusterError::UnknownContext { context: context.clone(), known });
    }
    let options = KubeConfigOptions { context: wanted.clone(), cluster: None, user: None };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Ok((config.map_err(|error| ClusterError::BadKubeconfig { reason: error.to_string() })?, wanted))
}

fn read(target: &ClusterTarget) -> Result<Kubeconfig, ClusterError> {
    let variable = std::env::var("KUBECONFIG").ok().filter(|text| !text.is_empty());
    let home = std::env::home_dir().map(|home| home.join(".kube").join("config"));
    let places: Vec<PathBuf> = match (&target.kubeconfig, &variable) {
        (Some(file), _) => vec![file.clone()],
        (None, Some(list)) => std::env::split_paths(list).collect(),
        (None, None) => home.into_iter().collect(),
    };
    if !places.iter().any(|place| place.exists()) {
        let places = places.iter().map(|place| place.display().to_string()).collect();
        return Err(ClusterError::NoKubeconfig { places });
    }
    let read = match &target.kubeconfig {
        Some(file) => Kubeconfig::read_from(file),
        None => Kubeconfig::read(),
    };
    read.map_err(|error| match error {
        KubeconfigError::ReadConfig(source, path) => ClusterError::File { path, source },
        other => ClusterError::BadKubeconfig { reason: other.to_string() },
    })
}

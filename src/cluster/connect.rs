//! From a kubeconfig to a client that has answered once; every way in which that fails is told apart.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use crate::cluster::count::RequestCounts;
use crate::cluster::error::innermost;
use crate::cluster::fence::Fence;
use crate::cluster::silence::Answers;
use crate::cluster::time_limit::TimeLimits;
use crate::cluster::{Cluster, ClusterError, ClusterTarget};

const USER_AGENT: &str = concat!("tailwatch/", env!("CARGO_PKG_VERSION"));
/// How long the API server may take for its first answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl Cluster {
    /// Reads the kubeconfig and asks the API server for its version, so that every later error is about the work.
    pub async fn connect(target: &ClusterTarget) -> Result<Cluster, ClusterError> {
        let (mut config, context) = configuration(target).await?;
        // So that an audit log tells who it was.
        config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(USER_AGENT)));
        let server = config.cluster_url.to_string();
        let counts = RequestCounts::recording(target.writes.clone());
        let (fence, answers) = (Fence::default(), Answers::default());
        let client: Client = ClientBuilder::try_from(config)
            .map_err(|error| bad_kubeconfig(target, innermost(&error)))?
            .with_layer(&counts)
            .with_layer(&TimeLimits::new(&server, &fence, &answers))
            .build();
        let unreachable = |reason: String| ClusterError::Unreachable { server: server.clone(), reason };
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
                return Err(bad_kubeconfig(target, innermost(&error)));
            }
            Ok(Err(error)) => return Err(unreachable(innermost(&error))),
            Err(_) => return Err(unreachable(format!("no usable answer within {} s", PATIENCE.as_secs()))),
        };
        let version =
            version.git_version.trim_start_matches('v').split(['+', '-']).next().unwrap_or_default().to_owned();
        Ok(Cluster { client, counts, context, server, version, kinds: Default::default(), fence, answers })
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
    if wanted.is_none() {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let reason = format!("it has no current context; name one with --context, it has: {known}");
        return Err(bad_kubeconfig(target, reason));
    }
    let mut kubeconfig = kubeconfig;
    withhold(&mut kubeconfig, &target.withheld);
    let options = KubeConfigOptions { context: wanted.clone(), cluster: None, user: None };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Ok((config.map_err(|error| bad_kubeconfig(target, error.to_string()))?, wanted))
}

/// Exec plugins are started by the client, with our environment but these variables.
fn withhold(kubeconfig: &mut Kubeconfig, names: &BTreeSet<String>) {
    let users = kubeconfig.auth_infos.iter_mut().filter_map(|user| user.auth_info.as_mut());
    for plugin in users.filter_map(|user| user.exec.as_mut()) {
        plugin.drop_env.get_or_insert_default().extend(names.iter().cloned());
    }
}

/// Where a kubeconfig is looked for.
fn places(target: &ClusterTarget) -> Vec<PathBuf> {
    let variable = std::env::var("KUBECONFIG").ok().filter(|text| !text.is_empty());
    let home = std::env::home_dir().map(|home| home.join(".kube").join("config"));
    match (&target.kubeconfig, &variable) {
        (Some(file), _) => vec![file.clone()],
        (None, Some(list)) => std::env::split_paths(list).collect(),
        (None, None) => home.into_iter().collect(),
    }
}

fn bad_kubeconfig(target: &ClusterTarget, reason: String) -> ClusterError {
    let places: Vec<String> = places(target).iter().map(|place| place.display().to_string()).collect();
    ClusterError::BadKubeconfig { place: places.join(", "), reason }
}

fn read(target: &ClusterTarget) -> Result<Kubeconfig, ClusterError> {
    let places = places(target);
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
        other => bad_kubeconfig(target, other.to_string()),
    })
}

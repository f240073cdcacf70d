//! Credentials of registries from docker's and helm's configuration files. Credential helpers run as our children, with
//! the environment of every child.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docker_credential::{DockerCredential, get_credential_from_reader};
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::process::{self, Call, Ending, Environment, Input};

/// A helper may send requests.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a helper's answer, one small document.
const MAX_BYTES: usize = 1 << 20;

/// Keys of a configuration file for helpers (docker cli, cli/config/configfile).
const HELPERS: &str = "credHelpers";
const STORE: &str = "credsStore";

/// A helper's answer to `get` (docker-credential-helpers, credentials/credentials.go).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The user name of an identity token.
const TOKEN: &str = "<token>";

/// The credentials of a host: from helm's file, then docker's. Without usable ones, anonymous, as in docker.
pub(super) async fn of_host(host: &str, config: Option<&Path>, environment: &Environment) -> RegistryAuth {
    for path in config.map(Path::to_owned).into_iter().chain(docker_config()) {
        if let Some(found) = of_file(&path, host, environment).await {
            return found;
        }
    }
    RegistryAuth::Anonymous
}

/// `$DOCKER_CONFIG`, or `~/.docker`.
fn docker_config() -> Option<PathBuf> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| std::env::home_dir().map(|home| home.join(".docker")));
    folder.map(|folder| folder.join("config.json"))
}

/// In docker's order: the host's helper, the file's credentials, the helper of all hosts.
async fn of_file(path: &Path, host: &str, environment: &Environment) -> Option<RegistryAuth> {
    let mut document: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let file = document.as_object_mut()?;
    let named = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
    let (helpers, store) = (file.remove(HELPERS), named(file.remove(STORE)));
    let own = named(helpers.and_then(|helpers| helpers.get(host).cloned()));
    if let Some(helper) = own.filter(|name| !name.is_empty()) {
        return run_helper(&helper, host, environment).await;
    }
    match get_credential_from_reader(document.to_string().as_bytes(), host) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Some(RegistryAuth::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(token)) => Some(RegistryAuth::Bearer(token)),
        Err(_) => run_helper(&store.filter(|name| !name.is_empty())?, host, environment).await,
    }
}

/// `docker-credential-NAME get`, with the host on stdin.
async fn run_helper(helper: &str, host: &str, environment: &Environment) -> Option<RegistryAuth> {
    let call = Call {
        program: OsString::from(format!("docker-credential-{helper}")),
        arguments: vec!["get".into()],
        environment: environment.clone(),
        removed: Vec::new(),
        added: Vec::new(),
        input: Input::Text(host.as_bytes().to_vec()),
        max_bytes: MAX_BYTES,
        ending: Ending::Killed { after: TIMEOUT },
        need: None,
    };
    let output = process::run(call, &CancellationToken::new()).await.ok()?;
    if !output.status.success() {
        return None;
    }
    let answer: Answer = serde_json::from_slice(&output.stdout).ok()?;
    Some(match answer.username.as_str() {
        TOKEN => RegistryAuth::Bearer(answer.secret),
        _ => RegistryAuth::Basic(answer.username, answer.secret),
    })
}

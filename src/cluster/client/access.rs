//! One context of a kubeconfig, validated by kubectl's rules before the first request: server, trust, credentials,
//! proxy. Source: client-go tools/clientcmd, client_config.go and validation.go (v0.36).

use std::path::Path;

use serde_json::{Map, Value, json};
use url::Url;

use crate::cluster::client::kubeconfig::{Entry, Kubeconfig, Places, find};
use crate::cluster::client::kubeconfig_schema::{AuthProvider, Cluster, Context, Exec, User};
use crate::cluster::client::proxy_route::Route;
use crate::cluster::{ClusterError, ClusterTarget, KubeconfigSnapshot};
use crate::config::Secret;
use crate::input_file;
use crate::proxy::ProxyRules;

/// Path of a pod's ServiceAccount (Kubernetes docs, "Accessing the Kubernetes API from a Pod").
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Context name of a pod's ServiceAccount in a snapshot.
const IN_CLUSTER: &str = "in-cluster";

/// Access to the API server: server, route and user.
#[derive(Clone, Debug)]
pub(super) struct Access {
    /// `None`: the ServiceAccount of this pod.
    pub(super) context: Option<String>,
    /// The kubeconfig's files, for messages.
    pub(super) place: String,
    pub(super) server: Url,
    pub(super) cluster: Cluster,
    pub(super) user: User,
    /// A user of the context that no file has: requests are anonymous, as in kubectl.
    pub(super) absent_user: Option<String>,
    pub(super) route: Route,
    pub(super) snapshot: KubeconfigSnapshot,
}

/// A context with its cluster and user, as in the files.
struct Chosen {
    context: Entry,
    cluster: Entry,
    user: Option<Entry>,
}

impl Access {
    /// The context of the flags, else the current one, else the ServiceAccount of this pod.
    pub(super) fn of(target: &ClusterTarget) -> Result<Access, ClusterError> {
        let places = Places::of(target.kubeconfig.as_deref(), &target.once);
        let kubeconfig = match places.read()? {
            None if places.is_explicit() => return Err(places.missing()),
            None => return in_cluster(Path::new(ACCOUNT)).unwrap_or_else(|| Err(places.missing())),
            Some(kubeconfig) => kubeconfig,
        };
        let requested = target.context.as_deref().filter(|name| !name.is_empty());
        let name = requested.unwrap_or(&kubeconfig.current);
        if name.is_empty() {
            return in_cluster(Path::new(ACCOUNT)).unwrap_or_else(|| Err(no_current(&kubeconfig)));
        }
        Access::of_context(&kubeconfig, name)
    }

    pub(super) fn of_context(kubeconfig: &Kubeconfig, name: &str) -> Result<Access, ClusterError> {
        let chosen = choose(kubeconfig, name)?;
        Access::from_entries(kubeconfig.place(), Some(name.to_owned()), chosen)
    }

    fn from_entries(place: String, context: Option<String>, chosen: Chosen) -> Result<Access, ClusterError> {
        let bad = |reason: String, next: &str| ClusterError::BadKubeconfig {
            place: place.clone(),
            reason,
            next: next.to_owned(),
        };
        let cluster: Cluster = chosen.cluster.typed()?;
        let mut user: User = chosen.user.as_ref().map(Entry::typed).transpose()?.unwrap_or_default();
        check_cluster(&chosen.cluster.name, &cluster).map_err(|reason| bad(reason, "correct the cluster"))?;
        let named: Context = chosen.context.typed()?;
        check_user(&named.user, &mut user).map_err(|reason| bad(reason, "correct the user"))?;
        let server =
            server_url(&cluster.server).map_err(|reason| bad(reason, "write the server as https://HOST:PORT"))?;
        let route = Route::of(&server, &cluster.proxy_url, &ProxyRules::from_environment())
            .map_err(|reason| bad(reason, "correct the proxy"))?;
        let absent_user = Some(named.user).filter(|name| !name.is_empty() && chosen.user.is_none());
        let snapshot = snapshot(&chosen, &route);
        Ok(Access { context, place, server, cluster, user, absent_user, route, snapshot })
    }
}

fn choose(kubeconfig: &Kubeconfig, name: &str) -> Result<Chosen, ClusterError> {
    let Some(context) = find(&kubeconfig.contexts, name) else {
        return Err(ClusterError::UnknownContext { context: name.to_owned(), known: kubeconfig.context_names() });
    };
    let named: Context = context.typed()?;
    let Some(cluster) = find(&kubeconfig.clusters, &named.cluster) else {
        let known: Vec<&str> = kubeconfig.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        return Err(ClusterError::BadKubeconfig {
            place: kubeconfig.place(),
            reason: format!("context {name} has the cluster {:?}, which is in none of the files", named.cluster),
            next: match known.is_empty() {
                true => "add the cluster with `kubectl config set-cluster`, or get the kubeconfig again".into(),
                false => format!("correct the context; clusters: {}", known.join(", ")),
            },
        });
    };
    let user = find(&kubeconfig.users, &named.user);
    Ok(Chosen { context: context.clone(), cluster: cluster.clone(), user: user.cloned() })
}

fn no_current(kubeconfig: &Kubeconfig) -> ClusterError {
    let known = kubeconfig.context_names();
    let next = match known.first() {
        None => {
            "add a cluster, a user and a context with `kubectl config`, or select another file with --kubeconfig".into()
        }
        Some(first) => {
            format!("select one with --context or `kubectl config use-context {first}`; it has: {}", known.join(", "))
        }
    };
    ClusterError::BadKubeconfig { place: kubeconfig.place(), reason: "it has no current context".into(), next }
}

/// The ServiceAccount of this pod: KUBERNETES_SERVICE_HOST and _PORT with the token in `account`. `None`: not in a pod.
fn in_cluster(account: &Path) -> Option<Result<Access, ClusterError>> {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
    in_cluster_at(account, &host, &port)
}

/// Whether tailwatch runs in a pod with a ServiceAccount.
pub(super) fn is_in_cluster() -> bool {
    in_cluster(Path::new(ACCOUNT)).is_some()
}

fn in_cluster_at(account: &Path, host: &str, port: &str) -> Option<Result<Access, ClusterError>> {
    let token = account.join("token");
    if !token.is_file() {
        return None;
    }
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let mut cluster = json!({ "server": format!("https://{host}:{port}") });
    let authority = account.join("ca.crt");
    if authority.is_file() {
        cluster["certificate-authority"] = authority.display().to_string().into();
    }
    let entry = |value: Value| Entry {
        name: IN_CLUSTER.into(),
        value: value.as_object().cloned().unwrap_or_default(),
        file: account.to_owned(),
    };
    let chosen = Chosen {
        context: entry(json!({ "cluster": IN_CLUSTER, "user": IN_CLUSTER })),
        cluster: entry(cluster),
        user: Some(entry(json!({ "tokenFile": token.display().to_string() }))),
    };
    Some(Access::from_entries(account.display().to_string(), None, chosen))
}

/// A URL, or `host[:port]`, which is http for client-go (rest/url_utils.go, DefaultServerURL). A path is a prefix.
fn server_url(server: &str) -> Result<Url, String> {
    let whole = Url::parse(server).ok().filter(|url| server.contains("://") && url.has_host());
    let mut url = match whole {
        Some(url) => url,
        None => match Url::parse(&format!("http://{server}")) {
            Ok(url) if matches!(url.path(), "" | "/") => url,
            _ => return Err(format!("the server {server:?} is no address")),
        },
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the server {server:?} has the scheme {}", url.scheme()));
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// validateClusterInfo of validation.go, TLSConfigFor of transport.go.
fn check_cluster(name: &str, cluster: &Cluster) -> Result<(), String> {
    let has_authority = !cluster.certificate_authority.is_empty() || !cluster.certificate_authority_data.is_empty();
    if cluster.server.is_empty() {
        return Err(format!("cluster {name:?} has no server"));
    }
    if !cluster.certificate_authority.is_empty() && !cluster.certificate_authority_data.is_empty() {
        return Err(format!(
            "cluster {name:?} has certificate-authority and certificate-authority-data, of which kubectl accepts one"
        ));
    }
    if cluster.insecure_skip_tls_verify && has_authority {
        return Err(format!(
            "cluster {name:?} has a certificate authority and insecure-skip-tls-verify, of which kubectl accepts one"
        ));
    }
    readable("certificate-authority", &cluster.certificate_authority)
}

/// Size limit of a certificate or token file.
const LARGEST: u64 = 4 << 20;

fn readable(field: &str, file: &str) -> Result<(), String> {
    match file.is_empty() {
        true => Ok(()),
        false => {
            let read = input_file::read(Path::new(file), LARGEST);
            read.map(drop).map_err(|error| format!("{field}: {file} cannot be read ({error})"))
        }
    }
}

/// validateAuthInfo of validation.go.
fn check_user(name: &str, user: &mut User) -> Result<(), String> {
    let has_certificate = !user.client_certificate.is_empty() || !user.client_certificate_data.is_empty();
    let has_basic = !user.username.is_empty() || !user.password.is_empty();
    if has_certificate {
        for (field, file, data) in [
            ("client-certificate", &user.client_certificate, &user.client_certificate_data),
            ("client-key", &user.client_key, &user.client_key_data),
        ] {
            if !file.is_empty() && !data.is_empty() {
                return Err(format!("user {name:?} has {field} and {field}-data, of which kubectl accepts one"));
            }
            if file.is_empty() && data.is_empty() {
                return Err(format!("user {name:?} has a client certificate and no client-key"));
            }
            readable(field, file)?;
        }
    }
    if has_basic && (!user.token.is_empty() || !user.token_file.is_empty()) {
        return Err(format!("user {name:?} has a token and a username, of which kubectl accepts one"));
    }
    if user.token.is_empty() {
        readable("tokenFile", &user.token_file)?;
    }
    let has_details =
        !user.impersonate_uid.is_empty() || !user.impersonate_groups.is_empty() || !user.impersonate_extra.is_empty();
    if has_details && user.impersonate.is_empty() {
        return Err(format!("user {name:?} has as-uid, as-groups or as-user-extra without `as`"));
    }
    if user.exec.is_some() && user.auth_provider.is_some() {
        return Err(format!("user {name:?} has an exec plugin and an auth-provider, of which kubectl accepts one"));
    }
    user.auth_provider.as_ref().map_or(Ok(()), check_provider)?;
    user.exec.as_mut().map_or(Ok(()), |exec| check_exec(name, exec))
}

/// client-go removed the providers of clouds in 1.26 and keeps oidc.
fn check_provider(provider: &AuthProvider) -> Result<(), String> {
    let plugin = match provider.name.as_str() {
        "oidc" => return Ok(()),
        "gcp" => "gke-gcloud-auth-plugin (`gcloud container clusters get-credentials` writes it)",
        "azure" => "kubelogin (`kubelogin convert-kubeconfig` writes it)",
        _ => "an exec plugin",
    };
    Err(format!("the auth-provider {:?} is no longer supported by Kubernetes clients; use {plugin}", provider.name))
}

/// The same, and SetDefaults_ExecConfig of api/v1/defaults.go.
fn check_exec(name: &str, exec: &mut Exec) -> Result<(), String> {
    const V1: &str = "client.authentication.k8s.io/v1";
    const V1BETA1: &str = "client.authentication.k8s.io/v1beta1";
    if exec.command.is_empty() {
        return Err(format!("the exec plugin of user {name:?} has no command"));
    }
    if ![V1, V1BETA1].contains(&exec.api_version.as_str()) {
        return Err(format!(
            "the exec plugin of user {name:?} has apiVersion {:?}; kubectl knows {V1} and {V1BETA1}",
            exec.api_version
        ));
    }
    if exec.env.iter().any(|variable| variable.name.is_empty()) {
        return Err(format!("the exec plugin of user {name:?} has a variable without a name"));
    }
    if exec.interactive_mode.is_empty() && exec.api_version == V1BETA1 {
        exec.interactive_mode = "IfAvailable".into();
    }
    match exec.interactive_mode.as_str() {
        "Never" | "IfAvailable" | "Always" => Ok(()),
        other => Err(format!(
            "the exec plugin of user {name:?} has interactiveMode {other:?}; {V1} expects Never, IfAvailable or Always"
        )),
    }
}

impl KubeconfigSnapshot {
    /// The same with credentials in place of the user's exec plugin.
    pub(super) fn without_plugin(&self, credentials: Map<String, Value>) -> KubeconfigSnapshot {
        let mut document: Value = serde_json::from_str(self.document.expose()).unwrap_or_default();
        if let Some(user) = document.pointer_mut("/users/0/user").and_then(Value::as_object_mut) {
            user.remove("exec");
            user.extend(credentials);
        }
        KubeconfigSnapshot { context: self.context.clone(), document: Secret::new(document.to_string()) }
    }
}

/// The chosen entries only, for another program with the same route and user.
fn snapshot(chosen: &Chosen, route: &Route) -> KubeconfigSnapshot {
    let mut cluster = chosen.cluster.value.clone();
    if let Some(proxy) = route.as_proxy_url() {
        cluster.insert("proxy-url".into(), proxy.into());
    }
    let item = |name: &str, key: &str, value: &Map<String, Value>| json!({ "name": name, key: value });
    let named = |key: &str| chosen.context.value.get(key).and_then(Value::as_str).unwrap_or_default();
    let users: Vec<Value> = chosen.user.iter().map(|user| item(&user.name, "user", &user.value)).collect();
    let document = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [item(named("cluster"), "cluster", &cluster)],
        "users": users,
        "contexts": [item(&chosen.context.name, "context", &chosen.context.value)],
        "current-context": chosen.context.name,
    });
    KubeconfigSnapshot { context: chosen.context.name.clone(), document: Secret::new(document.to_string()) }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;

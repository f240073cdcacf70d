//! The fields of a kubeconfig for the connection to the API server. A null is an absent field, an empty text is no
//! value. Source: client-go tools/clientcmd/api/v1/types.go (v0.36).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A whole file; deserialising it finds values of a wrong type.
#[derive(Debug, Deserialize)]
pub(super) struct Document {
    #[serde(default, deserialize_with = "or_default")]
    kind: String,
    #[serde(default, deserialize_with = "or_default", rename = "apiVersion")]
    api_version: String,
    #[serde(default, deserialize_with = "or_default", rename = "current-context")]
    pub(super) current_context: String,
    #[serde(default, deserialize_with = "or_default", rename = "clusters")]
    _clusters: Vec<NamedCluster>,
    #[serde(default, deserialize_with = "or_default", rename = "users")]
    _users: Vec<NamedUser>,
    #[serde(default, deserialize_with = "or_default", rename = "contexts")]
    _contexts: Vec<NamedContext>,
}

impl Document {
    /// Whether it is a kubeconfig; both type fields may be missing.
    pub(super) fn check(&self) -> Result<(), String> {
        let is_known = |value: &str, expected: &str| value.is_empty() || value == expected;
        match is_known(&self.kind, "Config") && is_known(&self.api_version, "v1") {
            true => Ok(()),
            false => Err(format!("it has kind {:?} and apiVersion {:?}", self.kind, self.api_version)),
        }
    }
}

#[derive(Debug, Deserialize)]
struct NamedCluster {
    #[serde(default, deserialize_with = "or_default", rename = "name")]
    _name: String,
    #[serde(default, deserialize_with = "or_default", rename = "cluster")]
    _cluster: Cluster,
}

#[derive(Debug, Deserialize)]
struct NamedUser {
    #[serde(default, deserialize_with = "or_default", rename = "name")]
    _name: String,
    #[serde(default, deserialize_with = "or_default", rename = "user")]
    _user: User,
}

#[derive(Debug, Deserialize)]
struct NamedContext {
    #[serde(default, deserialize_with = "or_default", rename = "name")]
    _name: String,
    #[serde(default, deserialize_with = "or_default", rename = "context")]
    _context: Context,
}

/// Connection to the API server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Cluster {
    #[serde(deserialize_with = "or_default")]
    pub(super) server: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) tls_server_name: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) insecure_skip_tls_verify: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) certificate_authority: String,
    #[serde(deserialize_with = "bytes")]
    pub(super) certificate_authority_data: Vec<u8>,
    #[serde(deserialize_with = "or_default")]
    pub(super) proxy_url: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) disable_compression: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) extensions: Vec<Extension>,
}

impl Cluster {
    /// Its certificate authority in PEM; empty if there is none or its file cannot be read.
    pub(super) fn authority(&self) -> Vec<u8> {
        match self.certificate_authority.is_empty() {
            true => self.certificate_authority_data.clone(),
            false => std::fs::read(&self.certificate_authority).unwrap_or_default(),
        }
    }
}

/// An extension, by name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Extension {
    #[serde(deserialize_with = "or_default")]
    pub(super) name: String,
    pub(super) extension: Value,
}

/// Credentials of a user.
#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct User {
    #[serde(deserialize_with = "or_default")]
    pub(super) client_certificate: String,
    #[serde(deserialize_with = "bytes")]
    pub(super) client_certificate_data: Vec<u8>,
    #[serde(deserialize_with = "or_default")]
    pub(super) client_key: String,
    #[serde(deserialize_with = "bytes")]
    pub(super) client_key_data: Vec<u8>,
    #[serde(deserialize_with = "or_default")]
    pub(super) token: String,
    #[serde(deserialize_with = "or_default", rename = "tokenFile")]
    pub(super) token_file: String,
    #[serde(deserialize_with = "or_default", rename = "as")]
    pub(super) impersonate: String,
    #[serde(deserialize_with = "or_default", rename = "as-uid")]
    pub(super) impersonate_uid: String,
    #[serde(deserialize_with = "or_default", rename = "as-groups")]
    pub(super) impersonate_groups: Vec<String>,
    #[serde(deserialize_with = "or_default", rename = "as-user-extra")]
    pub(super) impersonate_extra: BTreeMap<String, Vec<String>>,
    #[serde(deserialize_with = "or_default")]
    pub(super) username: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) password: String,
    pub(super) auth_provider: Option<AuthProvider>,
    pub(super) exec: Option<Exec>,
}

/// Without keys, tokens and passwords.
impl std::fmt::Debug for User {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("User").finish_non_exhaustive()
    }
}

/// The legacy mechanism before exec plugins.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct AuthProvider {
    #[serde(deserialize_with = "or_default")]
    pub(super) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) config: BTreeMap<String, String>,
}

/// A credential plugin.
#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Exec {
    #[serde(deserialize_with = "or_default")]
    pub(super) api_version: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) command: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) args: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) env: Vec<Variable>,
    #[serde(deserialize_with = "or_default")]
    pub(super) install_hint: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) provide_cluster_info: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) interactive_mode: String,
}

/// A variable of a plugin's environment.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Variable {
    #[serde(deserialize_with = "or_default")]
    pub(super) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) value: String,
}

/// A cluster and a user.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Context {
    #[serde(deserialize_with = "or_default")]
    pub(super) cluster: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) user: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) namespace: String,
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Base64 with padding; line breaks are ignored, as in Go.
fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text: String = or_default(from)?;
    let compact: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    STANDARD.decode(compact).map_err(|error| serde::de::Error::custom(format!("no base64: {error}")))
}

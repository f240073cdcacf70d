//! Templates for the own Secrets: what to fill in is in angle brackets.

use serde_json::{Map, Value, json};

use crate::cli::SecretTemplate;
use crate::export::exported::{ExportedFile, ExportedRelease, documents};
use crate::stack::OwnSecret;

/// What a key has, by its name.
const KEYS: [(&str, &str); 7] = [
    ("client-id", "<client ID of the application at the identity provider>"),
    ("client-secret", "<client secret of the application at the identity provider>"),
    ("cookie-secret", "<output of: openssl rand -base64 32 | tr -- '+/' '-_'>"),
    ("admin-user", "admin"),
    ("admin-password", "<a random password>"),
    ("client_id", "<id of the OAuth client of the tailnet>"),
    ("client_secret", "<secret of the OAuth client of the tailnet>"),
];

pub(super) fn files(template: SecretTemplate, releases: &[ExportedRelease]) -> Vec<ExportedFile> {
    let secrets = releases.iter().flat_map(|release| &release.secrets);
    let written = secrets.map(|secret| ExportedFile {
        path: format!("secrets/{}.yaml", secret.name),
        text: documents([&filled_in(template, secret)]),
    });
    written.collect()
}

fn filled_in(template: SecretTemplate, secret: &OwnSecret) -> Value {
    let OwnSecret { namespace, name, keys, .. } = secret;
    let metadata = json!({"name": name, "namespace": namespace});
    match template {
        SecretTemplate::Kubernetes => {
            let data: Map<String, Value> = keys.iter().map(|key| (key.clone(), content(secret, key).into())).collect();
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": data})
        }
        SecretTemplate::ExternalSecrets => {
            let path = format!("{namespace}/{name}");
            let data = keys.iter().map(|key| json!({"secretKey": key, "remoteRef": {"key": path, "property": key}}));
            json!({
                "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": metadata,
                "spec": {
                    "secretStoreRef": {"kind": "ClusterSecretStore", "name": "<name of the ClusterSecretStore>"},
                    "target": {"name": name},
                    "data": data.collect::<Value>(),
                },
            })
        }
        SecretTemplate::SealedSecrets => {
            let sealed = keys.iter().map(|key| {
                let command = format!("<output of: kubeseal --raw --namespace {namespace} --name {name}; input: ");
                (key.clone(), (command + content(secret, key).trim_matches(['<', '>']) + ">").into())
            });
            let data: Map<String, Value> = sealed.collect();
            json!({
                "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": metadata,
                "spec": {"encryptedData": data, "template": {"metadata": metadata}},
            })
        }
    }
}

fn content(secret: &OwnSecret, key: &str) -> String {
    let known = KEYS.iter().find(|(name, _)| *name == key).map(|(_, content)| (*content).to_owned());
    known.unwrap_or_else(|| format!("<{key} of Secret {} in the cluster of this export>", secret.name))
}

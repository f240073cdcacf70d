//! The only place that registers secrets with [`redaction`], for every command: from the answers, the saved answers,
//! our own Secrets, and the values of the installed releases at the paths where the saved answers have a secret.

use crate::cluster::{Cluster, ManifestObjects};
use crate::config::{Draft, Secret, child};
use crate::plan::{self, SecretPlaces};
use crate::redaction;
use crate::stack::{
    ALERTS_SECRET, CatalogueEntry, GRAFANA_SECRET, HelmDriver, OAUTH2_PROXY_SECRET, Release, TAILSCALE_NAMESPACE,
    TAILSCALE_SECRET,
};

/// Keys of our own Secrets with a secret value; the others have client ids, issuers and user names.
const KEYS: [&str; 5] = ["receiver-secret", "client-secret", "cookie-secret", "admin-password", "client_secret"];

/// Registers the stored secrets of the stack in this namespace, and of the Tailscale operator. Those that cannot be read are
/// skipped; the command that needs them reports the error.
pub(crate) async fn hide_stored(cluster: &Cluster, namespace: &str) {
    let own = cluster.secrets(namespace, [OAUTH2_PROXY_SECRET, GRAFANA_SECRET, ALERTS_SECRET]);
    let of_operator = cluster.secret(TAILSCALE_NAMESPACE, TAILSCALE_SECRET);
    let (own, of_operator) = futures::join!(own, of_operator);
    let own = own.unwrap_or_default().into_values().chain(of_operator.ok().flatten()).flatten();
    let own = own.filter(|(key, _)| KEYS.contains(&key.as_str()));
    let own: Vec<Secret<String>> = own.filter_map(|(_, value)| text(&value)).collect();
    redaction::hide(&own);
}

/// Registers the secrets of the saved answers, and those that only the installed releases still have.
pub(crate) async fn hide_saved(cluster: (&Cluster, HelmDriver), saved: Option<&Draft>, rows: &[CatalogueEntry]) {
    let Some(saved) = saved else { return };
    redaction::hide(&of_releases(cluster, saved, rows).await);
    hide_answers(saved);
}

/// Registers the secrets of the answers, including those from prompts.
pub(crate) fn hide_answers(draft: &Draft) {
    redaction::hide(&draft.secrets());
}

/// Paths below `values:` with a secret in any of these answers, by component.
pub(crate) fn places<'a>(answers: impl IntoIterator<Item = Option<&'a Draft>>) -> SecretPlaces {
    let mut places = SecretPlaces::new();
    for (component, paths) in answers.into_iter().flatten().flat_map(Draft::secret_paths) {
        places.entry(component).or_default().extend(paths);
    }
    places
}

/// The secrets of the desired releases.
pub(crate) fn hide_planned(desired: &[Release]) {
    let objects = desired.iter().flat_map(|release| &release.objects);
    let keys = objects.flat_map(|object| &object.secret_data).filter(|(key, _)| KEYS.contains(&key.as_str()));
    let generated: Vec<Secret<String>> = keys.filter_map(|(_, value)| text(value)).collect();
    redaction::hide(desired.iter().flat_map(|release| &release.secrets).chain(&generated));
}

/// The values of the installed releases at the secret paths of the saved answers.
async fn of_releases(
    (cluster, driver): (&Cluster, HelmDriver),
    kept: &Draft,
    rows: &[CatalogueEntry],
) -> Vec<Secret<String>> {
    let places = kept.secret_paths();
    let rows = rows.iter().filter(|row| places.contains_key(row.name.as_str()));
    let named: Vec<(&str, &str)> = rows.map(|row| (row.name.as_str(), row.namespace.as_str())).collect();
    let installed =
        plan::installed_releases(cluster, driver, named, ManifestObjects::WithReadiness).await.unwrap_or_default();
    let texts = installed.iter().flat_map(|found| {
        let paths = places.get(found.info.name.as_str()).into_iter().flatten();
        paths.filter_map(|path| path.iter().try_fold(&found.values, |value, key| child(value, key))?.as_str())
    });
    texts.map(|text| Secret::new(text.to_owned())).collect()
}

fn text(value: &Secret<Vec<u8>>) -> Option<Secret<String>> {
    String::from_utf8(value.expose().clone()).ok().map(Secret::new)
}

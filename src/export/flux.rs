//! HelmRepositories and HelmReleases of Flux (fluxcd.io, source.toolkit.fluxcd.io/v1 and helm.toolkit.fluxcd.io/v2), for a
//! Kustomization that reads the folder.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::export::exported::{ExportedFile, ExportedRelease, Place, Unreachable, documents, own_objects};
use crate::stack::CrdPolicy;

/// How often Flux compares and looks for changes.
const INTERVAL: &str = "1h";

pub(super) fn files(releases: &[ExportedRelease]) -> Result<Vec<ExportedFile>, Unreachable> {
    let mut files = Vec::new();
    let mut repositories = BTreeMap::new();
    for release in releases {
        let folder = release.folder();
        files.extend(own_objects(format!("{folder}/objects.yaml"), &release.objects));
        let repository = repository(release)?;
        let text = documents([&helm_release(release, &repository)]);
        files.push(ExportedFile { path: format!("{folder}/release.yaml"), text });
        repositories.insert(repository["metadata"].to_string(), repository);
    }
    files.push(ExportedFile { path: "stack/repositories.yaml".into(), text: documents(repositories.values()) });
    Ok(files)
}

/// In the namespace of the release, which may be the only one that Flux reads for it.
fn repository(release: &ExportedRelease) -> Result<Value, Unreachable> {
    let chart = &release.chart;
    let address = chart.repository.as_str();
    let mut spec = match Place::of(&chart.repository) {
        Place::Registry(_) => json!({"type": "oci"}),
        Place::Address(_) => json!({}),
        Place::Folder(place) | Place::Bundle(place) => return Err(Unreachable::new(chart, place, "Flux")),
    };
    spec["url"] = address.into();
    spec["interval"] = INTERVAL.into();
    // An answer for registries alone.
    if chart.access.plain_http {
        spec["insecure"] = true.into();
    }
    let host_and_path = address.split_once("://").map_or(address, |(_, rest)| rest).to_lowercase();
    let words = host_and_path.split(|character: char| !character.is_ascii_alphanumeric());
    let name: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    Ok(json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmRepository",
        "metadata": {"name": name.join("-"), "namespace": release.namespace},
        "spec": spec,
    }))
}

fn helm_release(release: &ExportedRelease, repository: &Value) -> Value {
    let ExportedRelease { name, namespace, chart, values, needs, .. } = release;
    let source = json!({"kind": "HelmRepository", "name": repository["metadata"]["name"]});
    let mut spec = json!({
        "interval": INTERVAL,
        "releaseName": name,
        "chart": {"spec": {"chart": chart.name, "version": chart.version.to_string(), "sourceRef": source}},
        "values": values,
    });
    if !needs.is_empty() {
        spec["dependsOn"] =
            needs.iter().map(|(namespace, name)| json!({"namespace": namespace, "name": name})).collect();
    }
    if release.crds == CrdPolicy::ServerSideApply {
        spec["install"] = json!({"crds": "CreateReplace"});
        spec["upgrade"] = json!({"crds": "CreateReplace"});
    }
    // Configurations in the values have `${…}` of their own, which a Kustomization with postBuild would fill.
    let annotations = json!({"kustomize.toolkit.fluxcd.io/substitute": "disabled"});
    json!({
        "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": spec,
    })
}

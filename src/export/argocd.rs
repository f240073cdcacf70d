//! Applications of Argo CD (argo-cd, docs/operator-manual/application.yaml), for a parent Application that reads the folder.

use serde_json::{Value, json};

use crate::export::exported::{ExportedFile, ExportedRelease, Place, Unreachable, documents, own_objects};

/// Annotation that orders the objects of an Application (argo-cd, docs/user-guide/sync-waves.md).
const SYNC_WAVE: &str = "argocd.argoproj.io/sync-wave";

pub(super) fn files(releases: &[ExportedRelease]) -> Result<Vec<ExportedFile>, Unreachable> {
    let mut files = Vec::new();
    for release in releases {
        let folder = release.folder();
        let own: Vec<Value> = release.objects.iter().map(|object| in_wave(object, release.wave)).collect();
        files.extend(own_objects(format!("{folder}/objects.yaml"), &own));
        let text = documents([&application(release)?]);
        files.push(ExportedFile { path: format!("{folder}/application.yaml"), text });
    }
    Ok(files)
}

fn application(release: &ExportedRelease) -> Result<Value, Unreachable> {
    let ExportedRelease { name, namespace, chart, values, .. } = release;
    let repository = match Place::of(&chart.repository) {
        Place::Registry(address) | Place::Address(address) => address,
        Place::Folder(place) | Place::Bundle(place) => return Err(Unreachable::new(chart, place, "Argo CD")),
    };
    let application = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": "argocd"},
        "spec": {
            "project": "default",
            "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
            "source": {
                "repoURL": repository, "chart": chart.name, "targetRevision": chart.version.to_string(),
                "helm": {"releaseName": name, "valuesObject": values},
            },
            // The CRDs of the operator are larger than the annotation of a client-side apply may be.
            "syncPolicy": {"automated": {}, "syncOptions": ["ServerSideApply=true"]},
        },
    });
    Ok(in_wave(&application, release.wave))
}

fn in_wave(object: &Value, wave: u8) -> Value {
    let mut object = object.clone();
    object["metadata"]["annotations"][SYNC_WAVE] = wave.to_string().into();
    object
}

//! The rendered objects, in folders for `kubectl apply`, one after the other.

use crate::export::exported::{ExportedFile, ExportedRelease, documents, own_objects};

pub(super) fn files(releases: &[ExportedRelease]) -> Vec<ExportedFile> {
    let mut files = Vec::new();
    for release in releases {
        let folder = release.folder();
        files.extend(own_objects(format!("{folder}/1-objects.yaml"), &release.objects));
        let Some(rendered) = &release.rendered else { continue };
        if !rendered.crds.is_empty() {
            files.push(ExportedFile { path: format!("{folder}/2-crds.yaml"), text: documents(&rendered.crds) });
        }
        files.push(ExportedFile { path: format!("{folder}/3-chart.yaml"), text: documents(&rendered.objects) });
    }
    files
}

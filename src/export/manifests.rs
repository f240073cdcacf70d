//! The rendered objects, in folders for `kubectl apply`, one after the other.

use crate::export::exported::{ExportedFile, ExportedRelease, documents, own_objects};
use crate::stack::image_names;

pub(super) fn files(releases: &[ExportedRelease]) -> Vec<ExportedFile> {
    let rendered = releases.iter().filter_map(|release| release.rendered.as_ref());
    let names = image_names(rendered.flat_map(|rendered| &rendered.objects));
    let text = names.iter().map(|name| format!("{name}\n")).collect();
    let mut files = vec![ExportedFile { path: "images.txt".into(), text }];
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

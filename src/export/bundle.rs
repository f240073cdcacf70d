//! The texts of a bundle for a cluster without internet.

use crate::export::exported::ExportedFile;
use crate::stack::{PublishedImage, RecordedChart};

const COPY_IMAGES: &str = r#"#!/bin/sh
# Copies the images of images.txt into a registry, with crane or skopeo. Those with a digest are copied by it.
#   ./copy-images.sh registry.acme.example/mirror
set -eu
registry=${1:?usage: copy-images.sh REGISTRY[/PATH]}
copy() {
  if command -v crane >/dev/null; then
    crane copy "$1" "$2"
  elif command -v skopeo >/dev/null; then
    skopeo copy --all "docker://$1" "docker://$2"
  else
    echo "copy-images.sh needs crane or skopeo" >&2
    exit 1
  fi
}
while read -r image; do
  echo "$image"
  source=$image target=${image%@*}
  # skopeo reads no image with both a tag and a digest.
  case "${image##*/}" in
    *:*@*) source=${target%:*}@${image##*@} ;;
    *@*) target=$image ;;
  esac
  copy "$source" "$registry/${target#*/}" </dev/null
done <"$(dirname "$0")/images.txt"
"#;

/// README.md, the digests of the charts, the list of the images and the script that copies them.
pub fn bundle(charts: &[RecordedChart], images: &[PublishedImage]) -> Vec<ExportedFile> {
    let file = |path: &str, text: String| ExportedFile { path: path.into(), text };
    let digest = |RecordedChart { chart, version, sha256, .. }: &RecordedChart| {
        format!("{sha256}  charts/{chart}-{version}.tgz\n")
    };
    vec![
        file("README.md", readme(charts, images.len())),
        file("SHA256SUMS", charts.iter().map(digest).collect()),
        file("copy-images.sh", COPY_IMAGES.into()),
        file("images.txt", images.iter().map(|image| format!("{image}\n")).collect()),
    ]
}

fn readme(charts: &[RecordedChart], images: usize) -> String {
    let row = |RecordedChart { chart, version, repository, .. }: &RecordedChart| {
        format!("| {chart} | {version} | {repository} |\n")
    };
    let rows: String = charts.iter().map(row).collect();
    format!(
        "# Observability stack, for a cluster without internet\n\nWritten by tailwatch {version}. The files have no \
         secret.\n\n| chart | version | from |\n|---|---|---|\n{rows}\n`images.txt` lists {images} images.\n\n## Install\n\n\
         1. Copy the images into the registry of the cluster: `./copy-images.sh registry.acme.example/mirror`.\n\
         2. Bring this folder, or its archive, to a machine that reaches the cluster. `sha256sum -c SHA256SUMS` compares the \
         charts.\n\
         3. Set `images.registry: registry.acme.example/mirror` in the answers, and install with the charts of the bundle: \
         `tailwatch install --answers answers.yaml --bundle PATH`.\n\n\
         For other answers or versions, write the bundle again.\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}

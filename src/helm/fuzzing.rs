//! The parsers of this module for fuzzing.

use std::io::{Result, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::config::COMPONENTS;
use crate::helm::{HelmError, archive, parse, repositories, versions};

type Parse = fn(&[u8]);

/// Name and parser of each input.
pub(crate) const PARSERS: &[(&str, Parse)] = &[
    ("chart-archive", |bytes| drop(archive::values_in(bytes))),
    ("chart-tar", |bytes| drop(compressed(&with_checksums(bytes)).map(|archive| archive::values_in(&archive[..])))),
    ("chart-files", |bytes| drop(packed(bytes).map(|archive| archive::values_in(&archive[..])))),
    ("helm-manifest", |bytes| drop(parse::documents(bytes))),
    ("helm-messages", messages),
    ("repository-index", index),
    ("repositories-yaml", repositories),
];

fn compressed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
    gzip.write_all(bytes)?;
    gzip.finish()
}

/// A tar with the checksums that its headers need (POSIX pax, ustar Interchange Format).
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 512;
    let mut tar = bytes.to_vec();
    for block in tar.chunks_exact_mut(BLOCK).filter(|block| block[257..].starts_with(b"ustar")) {
        let mut header = tar::Header::from_byte_slice(block).clone();
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
    }
    tar
}

/// A chart with these bytes as each of its files.
fn packed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for path in ["top/Chart.yaml", "top/values.yaml"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, path, bytes)?;
    }
    compressed(&tar.into_inner()?)
}

/// Output that helm writes for people.
fn messages(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    drop(parse::version(&text));
    for command in ["helm upgrade", "helm pull"] {
        let error = HelmError::classify(command.into(), "exit code 1".into(), &text);
        drop((error.rejected_paths("loki"), error.hint(), error.to_string()));
    }
}

fn index(bytes: &[u8]) {
    let charts = COMPONENTS.map(str::to_owned);
    drop(std::str::from_utf8(bytes).map(|text| versions::of_index(text, &charts)));
}

fn repositories(bytes: &[u8]) {
    drop(std::str::from_utf8(bytes).map(|text| repositories::find_entry(text, "https://charts.acme.example/helm")));
}

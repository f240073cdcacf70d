//! The stack as files from which another tool installs it: Argo CD, Flux, helmfile or kubectl; and the texts of a bundle. No
//! file has a secret. Pure: workflow renders the charts and writes the files.

mod argocd;
mod bundle;
mod exported;
mod flux;
mod helmfile;
mod manifests;
mod readme;
mod secret_templates;
mod tools;

pub use bundle::bundle;
pub use exported::{ExportedFile, ExportedRelease, Rendered, Unreachable};
pub use tools::export;

#[cfg(test)]
mod tests;

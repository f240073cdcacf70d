//! The files of each tool.

use crate::cli::{ExportTool, SecretTemplate};
use crate::export::exported::{ExportedFile, ExportedRelease, Unreachable};
use crate::export::{argocd, flux, helmfile, manifests, readme, secret_templates};

/// The files for a tool, with a README.md that says how to use them. `releases` are in wave order.
pub fn export(
    tool: ExportTool,
    template: SecretTemplate,
    releases: &[ExportedRelease],
) -> Result<Vec<ExportedFile>, Unreachable> {
    let mut files = match tool {
        ExportTool::Argocd => argocd::files(releases)?,
        ExportTool::Flux => flux::files(releases)?,
        ExportTool::Helmfile => helmfile::files(releases)?,
        ExportTool::Manifests => manifests::files(releases),
    };
    files.extend(secret_templates::files(template, releases));
    files.push(readme::file(tool, template, releases));
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

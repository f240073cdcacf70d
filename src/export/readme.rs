//! What a person has to know to use an export.

use crate::cli::{ExportTool, SecretTemplate};
use crate::export::exported::{ExportedFile, ExportedRelease};
use crate::stack::OwnSecret;

const ARGOCD: &str = "\
1. Commit the folder `stack` to a repository that Argo CD reads.
2. Argo CD waits for an Application of a wave only if it knows the health of Applications: set
   `resource.customizations.health.argoproj.io_Application` in ConfigMap `argocd-cm`
   (argo-cd, docs/operator-manual/health.md, \"Argocd App\").
3. Create an Application with that repository, `path: stack` and `directory: { recurse: true }`. It applies the own
   objects and the Applications, wave by wave. They are in namespace `argocd` and project `default`.
";
const FLUX: &str = "\
1. Commit the folder `stack` to a repository that Flux reads.
2. Create a Kustomization (kustomize.toolkit.fluxcd.io/v1) with `path: ./stack` and `prune: false`. Flux continues the
   revisions of helm releases that are installed with these names.
";
const HELMFILE: &str = "\
1. Run `helmfile sync` here with the context of the cluster: hooks apply the own objects and the CRDs with `kubectl`.
   `helmfile apply` needs the plugin helm-diff. Revisions of helm releases with these names are continued.
";
const MANIFESTS: &str = "\
1. Apply the files below `stack` in their order, with the context of the cluster:

   ```
   for file in stack/*/*.yaml; do
     kubectl apply --server-side --force-conflicts -f \"$file\"
     case \"$file\" in *crds.yaml) kubectl wait --for=condition=Established --timeout=60s -f \"$file\" ;; esac
   done
   ```

`images.txt` lists the images.
";

pub(super) fn file(tool: ExportTool, template: SecretTemplate, releases: &[ExportedRelease]) -> ExportedFile {
    let (name, steps) = match tool {
        ExportTool::Argocd => ("Argo CD", ARGOCD),
        ExportTool::Flux => ("Flux", FLUX),
        ExportTool::Helmfile => ("helmfile", HELMFILE),
        ExportTool::Manifests => ("kubectl", MANIFESTS),
    };
    let rows: String = releases.iter().map(row).collect();
    let secrets: Vec<&OwnSecret> = releases.iter().flat_map(|release| &release.secrets).collect();
    let listed: String = secrets.iter().map(|secret| line(secret)).collect();
    let private = releases.iter().any(|release| release.chart.access.username.is_some());
    let login = if private { PRIVATE } else { "" };
    let text = format!(
        "# Observability stack, for {name}\n\nWritten by tailwatch {version}. The files have no secret.\n\n\
         | wave | release | namespace | chart |\n|---|---|---|---|\n{rows}\n## Secrets\n\n{listed}\n{templates}\n\
         ## Install\n\n{steps}{login}\n## Afterwards\n\n{AFTERWARDS}",
        version = env!("CARGO_PKG_VERSION"),
        templates = templates(template),
    );
    ExportedFile { path: "README.md".into(), text }
}

const PRIVATE: &str = "\nThe chart repository needs a login, which the files leave out: give it to the tool.\n";
const AFTERWARDS: &str = "\
For other answers or versions, export again. Do not run `tailwatch install`, `upgrade` or `uninstall` on the stack any
more: two tools would undo the changes of each other. `tailwatch verify` checks the stack if helm has records of its
releases: those of helmfile, Flux or an earlier installation.
";

fn row(release: &ExportedRelease) -> String {
    let ExportedRelease { name, namespace, wave, chart, .. } = release;
    format!("| {wave} | {name} | {namespace} | {} {} |\n", chart.name, chart.version)
}

fn line(secret: &OwnSecret) -> String {
    let OwnSecret { namespace, name, keys, exists } = secret;
    let state = if *exists { "exists in the cluster of this export" } else { "to be created before the stack" };
    format!("- `{namespace}/{name}` ({}): {state}\n", keys.join(", "))
}

fn templates(template: SecretTemplate) -> &'static str {
    match template {
        SecretTemplate::Kubernetes => {
            "The folder `secrets` has a template of each: fill it in outside of the repository, and apply it with kubectl.\n\
             Their namespaces come first: `kubectl create namespace NAME`.\n"
        }
        SecretTemplate::ExternalSecrets => {
            "The folder `secrets` has an ExternalSecret of each: name your store and the keys in it, and commit them.\n"
        }
        SecretTemplate::SealedSecrets => {
            "The folder `secrets` has a SealedSecret of each: fill in the output of `kubeseal --raw`, and commit them.\n"
        }
    }
}

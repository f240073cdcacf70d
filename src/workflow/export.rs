//! The stack as files for another tool: collects what is exported, and writes the folder.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cli::{ExportTool, SecretTemplate};
use crate::cluster::namespace_of;
use crate::config::{Settings, secret_texts};
use crate::error::Error;
use crate::export::{ExportedFile, ExportedRelease, Rendered, export};
use crate::plan::{Planner, RenderedRelease, SecretPlaces};
use crate::stack::{self, ClusterFacts, REVISIONS, Release};
use crate::workflow::connect::Target;
use crate::workflow::secrets;

/// What is exported of each release, in wave order. `places` are the paths of secrets in the values.
pub(crate) async fn releases(
    target: &Target,
    (settings, facts): (&Settings, &ClusterFacts),
    places: &SecretPlaces,
    tool: ExportTool,
) -> Result<Vec<ExportedRelease>, Error> {
    let Target { cluster, helm, catalogue } = target;
    let desired = stack::desired(catalogue, settings, facts)?;
    secrets::hide_planned(&desired);
    refuse_secrets(&desired, places)?;
    let mut exported: Vec<ExportedRelease> = desired.iter().map(|release| exported(release, &desired, facts)).collect();
    if tool == ExportTool::Manifests {
        let with_values = desired.into_iter().zip(&exported);
        let desired = with_values.map(|(release, exported)| Release { values: exported.values.clone(), ..release });
        let plan = Planner { cluster, helm, catalogue }.first_installation(desired.collect()).await?;
        let mut rendered = BTreeMap::new();
        for step in plan.each_step() {
            let Some(found) = &step.rendered else { continue };
            rendered.insert(step.release.component.to_string(), with_namespaces(target, found, &step.release).await?);
        }
        for release in &mut exported {
            release.rendered = rendered.remove(&release.name);
        }
    }
    exported.sort_by_key(|release| release.wave);
    Ok(exported)
}

/// The files for a tool.
pub(crate) fn files(
    tool: ExportTool,
    template: SecretTemplate,
    releases: &[ExportedRelease],
) -> Result<Vec<ExportedFile>, Error> {
    export(tool, template, releases).map_err(|error| Error::Usage {
        message: error.to_string(),
        hint: Some("set charts.repository to an http, https or oci address that the cluster reaches".into()),
    })
}

fn exported(release: &Release, all: &[Release], facts: &ClusterFacts) -> ExportedRelease {
    let wave = wave(release, all);
    let earlier = all.iter().filter(|other| self::wave(other, all) < wave);
    let last = earlier.clone().map(|other| self::wave(other, all)).max();
    let needs = earlier.filter(|other| Some(self::wave(other, all)) == last);
    let is_exported = |object: &&Value| object["kind"] != "Secret" && object["metadata"]["name"] != REVISIONS;
    ExportedRelease {
        name: release.component.to_string(),
        namespace: release.namespace.clone(),
        wave,
        needs: needs.map(|other| (other.namespace.clone(), other.component.to_string())).collect(),
        chart: release.chart.clone(),
        crds: release.crds,
        values: release.exported_values(facts),
        objects: release.objects.iter().map(|object| &object.manifest).filter(is_exported).cloned().collect(),
        secrets: release.own_secrets(facts),
        rendered: None,
    }
}

/// The wave in which another tool installs a release: after the one that it needs.
fn wave(release: &Release, all: &[Release]) -> u8 {
    let needed = release.after.as_ref().and_then(|name| all.iter().find(|other| other.component == *name));
    match needed.is_some_and(|needed| needed.wave == release.wave) {
        true => release.wave + 1,
        false => release.wave,
    }
}

/// An error if a file would have a secret.
fn refuse_secrets(desired: &[Release], places: &SecretPlaces) -> Result<(), Error> {
    for release in desired {
        let component = release.component.as_str();
        let known = places.get(component).into_iter().flatten().cloned();
        let found = known.chain(secret_texts(&release.overrides)).next();
        if let Some(path) = found {
            return Err(Error::Usage {
                message: format!("values.{component}.{}: a secret, which would be in the files", path.join(".")),
                hint: Some(
                    "let the values name a Secret of the cluster instead, with the keys that the chart has for it, or \
                     export without this key"
                        .into(),
                ),
            });
        }
    }
    Ok(())
}

/// Each object that helm creates, with its namespace, which helm adds when it applies it.
async fn with_namespaces(
    Target { cluster, .. }: &Target,
    rendered: &RenderedRelease,
    release: &Release,
) -> Result<Rendered, Error> {
    let scope_of = |kind: &Value| {
        let crd = rendered.crds.iter().find(|crd| crd["spec"]["names"]["kind"] == *kind);
        crd.map(|crd| crd["spec"]["scope"] == "Namespaced")
    };
    let mut objects = Vec::new();
    for object in rendered.manifest.iter().chain(rendered.hooks.iter().filter(|hook| runs_at_install(hook))) {
        let mut object = object.clone();
        let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
        let is_namespaced = cluster.is_namespaced((&text("apiVersion"), &text("kind"))).await?;
        if is_namespaced.or(scope_of(&object["kind"])) == Some(true) {
            object["metadata"]["namespace"] = namespace_of(&object, &release.namespace).into();
        }
        objects.push(object);
    }
    Ok(Rendered { crds: rendered.crds.clone(), objects })
}

/// Whether helm runs a hook when it installs.
fn runs_at_install(hook: &Value) -> bool {
    let events = hook.pointer("/metadata/annotations/helm.sh~1hook").and_then(Value::as_str).unwrap_or_default();
    events.split(',').any(|event| matches!(event.trim(), "pre-install" | "post-install"))
}

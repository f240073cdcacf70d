//! A helmfile.yaml (helmfile.readthedocs.io) with the values of each release, and hooks that apply the own objects and CRDs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::config::ChartRepository;
use crate::export::exported::{ExportedFile, ExportedRelease, Place, Unreachable, own_objects};
use crate::stack::{ChartSource, CrdPolicy};
use crate::yaml::block;

pub(super) fn files(releases: &[ExportedRelease]) -> Result<Vec<ExportedFile>, Unreachable> {
    let mut files = Vec::new();
    let mut repositories: BTreeMap<&ChartRepository, String> = BTreeMap::new();
    for release in releases {
        if let Place::Bundle(place) = Place::of(&release.chart.repository) {
            return Err(Unreachable::new(&release.chart, place, "helmfile"));
        }
        files.extend(own_objects(objects(release), &release.objects));
        files.push(ExportedFile { path: values(release), text: block(&release.values) });
        let number = repositories.len() + 1;
        repositories.entry(&release.chart.repository).or_insert_with(|| format!("stack-{number}"));
    }
    let plain_http = releases.iter().any(|release| release.chart.access.plain_http);
    let remote = repositories.iter().filter_map(|(place, name)| repository(place, name, plain_http));
    let document = json!({
        "repositories": remote.collect::<Value>(),
        "releases": releases.iter().map(|release| entry(release, &repositories)).collect::<Value>(),
    });
    files.push(ExportedFile { path: "helmfile.yaml".into(), text: block(&document) });
    Ok(files)
}

fn values(release: &ExportedRelease) -> String {
    format!("values/{}.yaml", release.name)
}

fn objects(release: &ExportedRelease) -> String {
    format!("objects/{}.yaml", release.name)
}

/// `None` for a folder: its charts are named by their files.
fn repository(place: &ChartRepository, name: &str, plain_http: bool) -> Option<Value> {
    match Place::of(place) {
        Place::Registry(registry) => {
            let mut repository = json!({"name": name, "url": registry, "oci": true});
            if plain_http {
                repository["plainHttp"] = true.into();
            }
            Some(repository)
        }
        Place::Address(address) => Some(json!({"name": name, "url": address})),
        Place::Folder(_) | Place::Bundle(_) => None,
    }
}

fn entry(release: &ExportedRelease, repositories: &BTreeMap<&ChartRepository, String>) -> Value {
    let ExportedRelease { name, namespace, chart, needs, .. } = release;
    let needs: Vec<String> = needs.iter().map(|(namespace, name)| format!("{namespace}/{name}")).collect();
    let mut hooks = Vec::new();
    if !release.objects.is_empty() {
        hooks.push(hook("kubectl", &["apply", "--server-side", "--force-conflicts", "-f", &objects(release)]));
    }
    if release.crds == CrdPolicy::ServerSideApply {
        let crds = format!("helm show crds {} | kubectl apply --server-side --force-conflicts -f -", shown(chart));
        hooks.push(hook("sh", &["-c", &crds]));
    }
    let named = match Place::of(&chart.repository) {
        Place::Folder(_) | Place::Bundle(_) => archive(chart),
        Place::Registry(_) | Place::Address(_) => format!("{}/{}", repositories[&chart.repository], chart.name),
    };
    json!({
        "name": name, "namespace": namespace, "createNamespace": false,
        "chart": named, "version": chart.version.to_string(),
        "needs": needs, "values": [values(release)], "wait": true, "timeout": 600, "hooks": hooks,
    })
}

/// The arguments of `helm show crds` that name a chart.
fn shown(chart: &ChartSource) -> String {
    let ChartSource { name, repository, version, access, .. } = chart;
    match Place::of(repository) {
        Place::Registry(_) if access.plain_http => format!("{repository}/{name} --version {version} --plain-http"),
        Place::Registry(_) => format!("{repository}/{name} --version {version}"),
        Place::Address(address) => format!("{name} --repo {address} --version {version}"),
        Place::Folder(_) | Place::Bundle(_) => archive(chart),
    }
}

fn archive(chart: &ChartSource) -> String {
    format!("{}/{}-{}.tgz", chart.repository, chart.name, chart.version)
}

/// Before helm changes the release.
fn hook(command: &str, arguments: &[&str]) -> Value {
    json!({"events": ["presync"], "showlogs": true, "command": command, "args": arguments})
}

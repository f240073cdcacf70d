//! A helmfile.yaml (helmfile.readthedocs.io) with the values of each release, and hooks that apply the own objects and CRDs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::export::exported::{ExportedFile, ExportedRelease};
use crate::stack::{ChartSource, CrdPolicy};
use crate::yaml::block;

pub(super) fn files(releases: &[ExportedRelease]) -> Vec<ExportedFile> {
    let mut files = Vec::new();
    let mut repositories: BTreeMap<&str, String> = BTreeMap::new();
    for release in releases {
        files.extend(release.own_objects(objects(release)));
        files.push(ExportedFile { path: values(release), text: block(&release.values) });
        let number = repositories.len() + 1;
        repositories.entry(release.chart.repository.as_str()).or_insert_with(|| format!("stack-{number}"));
    }
    let remote = repositories.iter().filter(|(address, _)| address.contains("://"));
    let document = json!({
        "repositories": remote.map(|(address, name)| repository(address, name, releases)).collect::<Value>(),
        "releases": releases.iter().map(|release| entry(release, &repositories)).collect::<Value>(),
    });
    files.push(ExportedFile { path: "helmfile.yaml".into(), text: block(&document) });
    files
}

fn values(release: &ExportedRelease) -> String {
    format!("values/{}.yaml", release.name)
}

fn objects(release: &ExportedRelease) -> String {
    format!("objects/{}.yaml", release.name)
}

fn repository(address: &str, name: &str, releases: &[ExportedRelease]) -> Value {
    let plain_http = releases.iter().any(|release| release.chart.access.plain_http);
    match address.strip_prefix("oci://") {
        Some(registry) if plain_http => json!({"name": name, "url": registry, "oci": true, "plainHttp": true}),
        Some(registry) => json!({"name": name, "url": registry, "oci": true}),
        None => json!({"name": name, "url": address}),
    }
}

fn entry(release: &ExportedRelease, repositories: &BTreeMap<&str, String>) -> Value {
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
    let mut entry = json!({
        "name": name, "namespace": namespace, "createNamespace": false,
        "chart": format!("{}/{}", repositories[chart.repository.as_str()], chart.name),
        "version": chart.version.to_string(),
        "needs": needs, "values": [values(release)], "wait": true, "timeout": 600, "hooks": hooks,
    });
    if !chart.repository.as_str().contains("://") {
        entry["chart"] = archive(chart).into();
    }
    entry
}

/// The arguments of `helm show crds` that name a chart.
fn shown(chart: &ChartSource) -> String {
    let (address, name, version) = (chart.repository.as_str(), &chart.name, &chart.version);
    match address.starts_with("oci://") {
        true if chart.access.plain_http => format!("{address}/{name} --version {version} --plain-http"),
        true => format!("{address}/{name} --version {version}"),
        false if address.contains("://") => format!("{name} --repo {address} --version {version}"),
        false => archive(chart),
    }
}

fn archive(chart: &ChartSource) -> String {
    format!("{}/{}-{}.tgz", chart.repository, chart.name, chart.version)
}

/// Before helm changes the release.
fn hook(command: &str, arguments: &[&str]) -> Value {
    json!({"events": ["presync"], "showlogs": true, "command": command, "args": arguments})
}

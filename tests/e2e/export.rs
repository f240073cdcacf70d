//! The ways out: what another tool installs from an export is what an install installs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::{Sandbox, eventually};
use tailwatch::yaml;

use crate::TAILWATCH;

/// Name, chart, version, repository and values of a release in an export.
type Exported = (String, String, String, String, Value);

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}

fn documents(path: &Path) -> Vec<Value> {
    yaml::documents(&std::fs::read_to_string(path).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The folders below `stack`, in their order.
fn folders(export: &Path) -> Vec<PathBuf> {
    let entries = export.join("stack").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn argocd(export: &Path) -> Vec<Exported> {
    let of_folder = |folder: &PathBuf| {
        let application = documents(&folder.join("application.yaml")).remove(0);
        let source = &application["spec"]["source"];
        let [chart, version, repository] = ["chart", "targetRevision", "repoURL"].map(|key| text(&source[key]));
        (text(&source["helm"]["releaseName"]), chart, version, repository, source["helm"]["valuesObject"].clone())
    };
    folders(export).iter().map(of_folder).collect()
}

fn flux(export: &Path) -> Vec<Exported> {
    let repositories = documents(&export.join("stack/repositories.yaml"));
    let of_folder = |folder: &PathBuf| {
        let release = documents(&folder.join("release.yaml")).remove(0);
        let chart = &release["spec"]["chart"]["spec"];
        let is_named = |repository: &&Value| repository["metadata"]["name"] == chart["sourceRef"]["name"];
        let repository = text(&repositories.iter().find(is_named).unwrap()["spec"]["url"]);
        let [name, version] = ["chart", "version"].map(|key| text(&chart[key]));
        (text(&release["spec"]["releaseName"]), name, version, repository, release["spec"]["values"].clone())
    };
    folders(export).iter().map(of_folder).collect()
}

fn helmfile(export: &Path) -> Vec<Exported> {
    let state = documents(&export.join("helmfile.yaml")).remove(0);
    let of_release = |release: &Value| {
        let named = text(&release["chart"]);
        let (repository, chart) = named.split_once('/').unwrap();
        let repositories = state["repositories"].as_array().unwrap();
        let repository = repositories.iter().find(|known| known["name"] == repository).unwrap();
        let values = documents(&export.join(text(&release["values"][0]))).remove(0);
        (text(&release["name"]), chart.to_owned(), text(&release["version"]), text(&repository["url"]), values)
    };
    state["releases"].as_array().unwrap().iter().map(of_release).collect()
}

/// Objects by (kind, namespace, name), without hooks; helm adds the namespace of the release.
fn sorted(objects: Vec<Value>) -> Vec<Value> {
    let is_hook = |object: &Value| object.pointer("/metadata/annotations/helm.sh~1hook").is_some();
    let mut objects: Vec<Value> = objects.into_iter().filter(|object| !is_hook(object)).collect();
    for object in &mut objects {
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.retain(|key, value| key != "namespace" || value != "monitoring");
        // The chart of Grafana looks it up.
        if let Some(spec) = object["spec"].as_object_mut() {
            spec.remove("volumeName");
        }
    }
    objects.sort_by_key(|object| {
        [&object["kind"], &object["metadata"]["namespace"], &object["metadata"]["name"]].map(Value::to_string)
    });
    objects
}

#[track_caller]
fn are_same(exported: &[Value], installed: &[Value], what: &str) {
    let only = |one: &[Value], other: &[Value]| -> Vec<String> {
        one.iter().filter(|object| !other.contains(object)).map(Value::to_string).collect()
    };
    let (exported, installed) = (only(exported, installed), only(installed, exported));
    assert!(
        exported.is_empty() && installed.is_empty(),
        "{what}\n{}\n---\n{}",
        exported.join("\n"),
        installed.join("\n")
    );
}

fn installed(sandbox: &Sandbox, release: &str) -> Vec<Value> {
    let manifest = sandbox.helm(&["get", "manifest", release, "-n", "monitoring"]).ended_with(0).stdout;
    sorted(yaml::documents(&manifest).unwrap())
}

/// What helm renders with the values of an export.
fn rendered(sandbox: &Sandbox, (name, chart, version, repository, values): &Exported) -> Vec<Value> {
    let file = sandbox.file("exported-values.json");
    std::fs::write(&file, values.to_string()).unwrap();
    let file = file.display().to_string();
    let source = ["--repo", repository, "--version", version, "-f", &file];
    let words = [&["template", name, chart, "-n", "monitoring", "--dry-run=server"][..], &source].concat();
    sorted(yaml::documents(&sandbox.helm(&words).ended_with(0).stdout).unwrap())
}

/// Whether everything that is wanted is found.
fn has(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| found.get(key).is_some_and(|found| has(found, wanted)))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| has(found, wanted))
        }
        (found, wanted) => found == wanted,
    }
}

/// Each own object of an export is the live one; returns their number.
fn own_objects_are_live(sandbox: &Sandbox, file: &Path) -> usize {
    let wanted = documents(file);
    for object in &wanted {
        let [kind, name] = [text(&object["kind"]), text(&object["metadata"]["name"])];
        let live = sandbox.get(&["-n", "monitoring", &kind, &name]);
        let mut object = object.clone();
        // Argo CD orders by it.
        let wave = "argocd.argoproj.io/sync-wave";
        if object.pointer("/metadata/annotations").and_then(Value::as_object).is_some_and(|all| all.contains_key(wave))
        {
            object["metadata"].as_object_mut().unwrap().remove("annotations");
        }
        assert!(has(&live, &object), "{object:#}\n{live:#}");
    }
    wanted.len()
}

/// Every text below a folder.
fn everything(folder: &Path) -> String {
    let mut all = String::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        all += &if path.is_dir() { everything(&path) } else { std::fs::read_to_string(path).unwrap() };
    }
    all
}

#[test]
fn an_export_installs_what_an_install_installs_and_has_no_secret() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    let answers = sandbox.answers();
    let export = |tool: &str, name: &str| {
        let folder = sandbox.file(name);
        let shown = folder.display().to_string();
        let words = ["export", tool, "--out", &shown, "--answers", &answers, "--output", "json"];
        let document = sandbox.tailwatch(&words).ended_with(0).json();
        (folder, document)
    };
    sandbox.install(&["--skip-verify"]).ended_with(0);
    let secrets: Vec<String> =
        ["oauth2-proxy-auth0", "grafana-admin"].map(|name| secret_texts(&sandbox, name)).concat();
    assert!(secrets.len() == 3, "{}", secrets.len());
    for tool in ["argocd", "flux", "helmfile"] {
        let (folder, document) = export(tool, tool);
        assert!(document["secrets"].as_array().unwrap().iter().all(|secret| secret["exists"] == true), "{document:#}");
        let releases = match tool {
            "argocd" => argocd(&folder),
            "flux" => flux(&folder),
            _ => helmfile(&folder),
        };
        assert_eq!(releases.len(), 4);
        for release in &releases {
            are_same(&rendered(&sandbox, release), &installed(&sandbox, &release.0), &format!("{tool}: {}", release.0));
        }
        let files = match tool {
            "helmfile" => {
                vec![folder.join("objects/kube-prometheus-stack.yaml"), folder.join("objects/oauth2-proxy.yaml")]
            }
            _ => {
                folders(&folder).iter().map(|folder| folder.join("objects.yaml")).filter(|file| file.exists()).collect()
            }
        };
        let number: usize = files.iter().map(|file| own_objects_are_live(&sandbox, file)).sum();
        assert!(number > 5, "{tool}: {number}");
        let texts = everything(&folder);
        assert!(!secrets.iter().any(|secret| texts.contains(secret)), "{tool} has a secret");
    }
    let (folder, _) = export("manifests", "manifests");
    for folder in folders(&folder) {
        let release = folder.file_name().unwrap().to_str().unwrap().split_once('-').unwrap().1.to_owned();
        are_same(&sorted(documents(&folder.join("3-chart.yaml"))), &installed(&sandbox, &release), &release);
    }
    assert!(!secrets.iter().any(|secret| everything(&folder).contains(secret)), "manifests has a secret");

    // A secret of the user's values: no file is written.
    let refused = sandbox.file("refused").display().to_string();
    let with_secret = sandbox.file("with-secret.yaml");
    let values = "values: { kube-prometheus-stack: { grafana: { adminPassword: s3cret-words } } }\n";
    std::fs::write(&with_secret, std::fs::read_to_string(&answers).unwrap() + values).unwrap();
    let with_secret = with_secret.display().to_string();
    let said = sandbox.tailwatch(&["export", "flux", "--out", &refused, "--answers", &with_secret]).ended_with(2);
    assert!(said.stderr.contains("kube-prometheus-stack.grafana.adminPassword"), "{}", said.stderr);
    assert!(!said.stderr.contains("s3cret-words") && !sandbox.file("refused").exists());

    another_tool_is_respected_while_it_exists(&sandbox);
    let mut certificate = sandbox.get(&["-n", "monitoring", "secret", "kube-prometheus-stack-admission"]);
    certificate["metadata"] = json!({"name": "kube-prometheus-stack-admission"});
    std::fs::write(sandbox.file("certificate.json"), certificate.to_string()).unwrap();
    sandbox.tailwatch(&["uninstall", "--delete-data", "--delete-crds", "--yes"]).ended_with(0);
    kubectl_installs_it(&sandbox, &export("manifests", "fresh"));
}

/// Argo CD's mark outlives its Application.
fn another_tool_is_respected_while_it_exists(sandbox: &Sandbox) {
    let apply = |name: &str, object: Value| {
        let file = sandbox.file(name).display().to_string();
        std::fs::write(&file, object.to_string()).unwrap();
        sandbox.kubectl(&["apply", "--server-side", "-f", &file]);
    };
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    apply(
        "crd.json",
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "applications.argoproj.io"},
            "spec": {
                "group": "argoproj.io", "scope": "Namespaced",
                "names": {"plural": "applications", "singular": "application", "kind": "Application"},
                "versions": [{"name": "v1alpha1", "served": true, "storage": true, "schema": schema}],
            },
        }),
    );
    sandbox.kubectl(&["wait", "--for=condition=Established", "crd/applications.argoproj.io", "--timeout=60s"]);
    let metadata = json!({"name": "logs", "namespace": "default"});
    apply(
        "application.json",
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": metadata}),
    );
    let mark = "argocd.argoproj.io/tracking-id=logs:apps/StatefulSet:monitoring/loki";
    sandbox.kubectl(&["-n", "monitoring", "annotate", "statefulset/loki", mark]);
    let ended = sandbox.install(&["--output", "json", "--skip-verify"]).ended_with(4).run_finished();
    let error = ended["error"].to_string();
    assert!(error.contains("Application logs of Argo CD reconciles release loki"), "{ended:#}");
    sandbox.install(&["--skip-verify", "--adopt"]).ended_with(0);
    sandbox.kubectl(&["-n", "default", "delete", "applications.argoproj.io/logs"]);
    sandbox.install(&["--skip-verify"]).ended_with(0);
}

/// Values of a Secret that are random or of the user.
fn secret_texts(sandbox: &Sandbox, name: &str) -> Vec<String> {
    let template = "{{range $key, $value := .data}}{{$key}} {{$value | base64decode}}{{\"\\n\"}}{{end}}";
    let template = format!("go-template={template}");
    let lines = sandbox.kubectl(&["-n", "monitoring", "get", "secret", name, "-o", &template]);
    let pairs = lines.lines().filter_map(|line| line.split_once(' '));
    pairs
        .filter(|(key, _)| matches!(*key, "admin-password" | "client-secret" | "cookie-secret"))
        .map(|(_, value)| value.to_owned())
        .collect()
}

/// The README's steps, on a cluster without the stack.
fn kubectl_installs_it(sandbox: &Sandbox, (folder, document): &(PathBuf, Value)) {
    let secrets = document["secrets"].as_array().unwrap();
    assert!(!secrets.is_empty() && secrets.iter().all(|secret| secret["exists"] == false), "{document:#}");
    let notices = document["notices"].to_string();
    assert!(secrets.iter().all(|secret| notices.contains(secret["name"].as_str().unwrap())), "{notices}");
    sandbox.kubectl(&["create", "namespace", "monitoring"]);
    for file in folder.join("secrets").read_dir().unwrap() {
        sandbox.kubectl(&["apply", "-f", &file.unwrap().path().display().to_string()]);
    }
    let objects = documents(&folder.join("stack/30-kube-prometheus-stack/3-chart.yaml"));
    assert_eq!(objects.iter().filter(|object| object["kind"] == "Job").count(), 2);
    // As the Jobs would create it: the sandbox has no image of them.
    let certificate = sandbox.file("certificate.json").display().to_string();
    sandbox.kubectl(&["-n", "monitoring", "apply", "-f", &certificate]);
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let script = readme.split("```").nth(1).unwrap();
    sandbox.act(&["sh", "-ec", script], folder).ended_with(0);
    eventually("Prometheus has pods", || {
        sandbox.kubectl(&["-n", "monitoring", "get", "statefulsets", "-o", "name"]).contains("prometheus-kube")
    });
    for workload in [
        "statefulset/prometheus-kube-prometheus-stack-prometheus",
        "deployment/kube-prometheus-stack-grafana",
        "deployment/oauth2-proxy",
        "statefulset/loki",
        "daemonset/alloy",
    ] {
        sandbox.kubectl(&["-n", "monitoring", "rollout", "status", workload, "--timeout=180s"]);
    }
}

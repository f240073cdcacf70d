use serde_json::{Value, json};

use super::*;
use crate::cli::{ExportTool, SecretTemplate};
use crate::stack::{ChartSource, CrdPolicy, OwnSecret, PublishedImage, RecordedChart};
use crate::yaml;

const TOOLS: [ExportTool; 4] = [ExportTool::Argocd, ExportTool::Flux, ExportTool::Helmfile, ExportTool::Manifests];

/// A release with an own object and an own Secret, and one that needs it.
fn releases(repository: &str) -> Vec<ExportedRelease> {
    let chart = |name: &str, version: &str| ChartSource {
        name: name.into(),
        repository: repository.parse().unwrap(),
        access: Default::default(),
        version: version.parse().unwrap(),
        digests: Vec::new(),
        missing_in: None,
    };
    let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "grafana", "namespace": "monitoring"}, "spec": {"podSelector": {}}});
    let secret = |name: &str, keys: &[&str], exists| OwnSecret {
        namespace: "monitoring".into(),
        name: name.into(),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        exists,
    };
    let rendered = |kind: &str| Rendered {
        crds: vec![json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"})],
        objects: vec![
            json!({"apiVersion": "v1", "kind": kind, "spec": {"image": format!("acme/{}:1", kind.to_lowercase())}}),
        ],
    };
    vec![
        ExportedRelease {
            name: "kube-prometheus-stack".into(),
            namespace: "monitoring".into(),
            wave: 30,
            needs: Vec::new(),
            chart: chart("kube-prometheus-stack", "79.10.0"),
            crds: CrdPolicy::ServerSideApply,
            values: json!({"prometheus": {"prometheusSpec": {"retention": "15d"}}}),
            objects: vec![policy],
            secrets: vec![secret("grafana-admin", &["admin-password", "admin-user"], true)],
            rendered: Some(rendered("Service")),
        },
        ExportedRelease {
            name: "oauth2-proxy".into(),
            namespace: "monitoring".into(),
            wave: 31,
            needs: vec![("monitoring".into(), "kube-prometheus-stack".into())],
            chart: chart("oauth2-proxy", "10.7.0"),
            crds: CrdPolicy::None,
            values: json!({"replicaCount": 2}),
            objects: Vec::new(),
            secrets: vec![secret("oauth2-proxy-auth0", &["client-id", "client-secret", "cookie-secret"], false)],
            rendered: Some(Rendered { crds: Vec::new(), ..rendered("Deployment") }),
        },
    ]
}

#[test]
fn a_bundle_names_its_charts_and_images() {
    let chart = RecordedChart {
        chart: "loki".into(),
        version: "6.46.0".into(),
        repository: "https://grafana.github.io/helm-charts".into(),
        sha256: "0a".into(),
    };
    let image =
        |image: &str, digest: Option<&str>| PublishedImage { image: image.into(), digest: digest.map(str::to_owned) };
    let images = [
        image("docker.io/grafana/loki:3.5.7", Some("sha256:0b")),
        image("quay.io/acme/pinned:1@sha256:0c", Some("sha256:0c")),
        image("quay.io/acme/without:1", None),
    ];
    insta::assert_snapshot!(listing(&bundle(&[chart], &images)));
}

/// All files, one after the other.
fn listing(files: &[ExportedFile]) -> String {
    files.iter().map(|ExportedFile { path, text }| format!("=== {path}\n{text}")).collect()
}

#[test]
fn each_tool_gets_its_files() {
    let template = [SecretTemplate::Kubernetes, SecretTemplate::ExternalSecrets, SecretTemplate::SealedSecrets];
    for (tool, template) in TOOLS.into_iter().zip(template.into_iter().cycle()) {
        let files = export(tool, template, &releases("https://charts.example/stack")).unwrap();
        insta::assert_snapshot!(format!("{tool:?}").to_lowercase(), listing(&files));
    }
}

#[test]
fn a_registry_is_named_as_each_tool_names_it() {
    let mut releases = releases("oci://registry.example/charts");
    releases.iter_mut().for_each(|release| release.chart.access.plain_http = true);
    for (tool, lines) in [
        (ExportTool::Argocd, &["repoURL: registry.example/charts"][..]),
        (ExportTool::Flux, &["type: oci", "url: oci://registry.example/charts", "insecure: true"]),
        (ExportTool::Helmfile, &["oci: true", "url: registry.example/charts", "plainHttp: true"]),
    ] {
        let files = listing(&export(tool, SecretTemplate::Kubernetes, &releases).unwrap());
        let has = |line: &&str| files.lines().any(|found| found.trim() == *line);
        assert!(lines.iter().all(has), "{tool:?}: {files}");
    }
}

#[test]
fn a_folder_of_archives_is_for_tools_on_this_machine_and_a_bundle_for_none() {
    let exported = |tool, place: &str| export(tool, SecretTemplate::Kubernetes, &releases(place));
    for tool in TOOLS {
        for place in ["/srv/charts", "/srv/bundle.tar.gz"] {
            match tool {
                ExportTool::Manifests => assert!(exported(tool, place).is_ok()),
                ExportTool::Helmfile if place == "/srv/charts" => {
                    let files = listing(&exported(tool, place).unwrap());
                    assert!(files.contains("chart: /srv/charts/oauth2-proxy-10.7.0.tgz"));
                }
                _ => {
                    let error = exported(tool, place).unwrap_err();
                    assert_eq!((error.chart.as_str(), error.place.as_str()), ("kube-prometheus-stack", place));
                }
            }
        }
    }
}

/// Texts that a parser of YAML 1.1 or 1.2 can read as something else.
const TEXTS: &[&str] = &[
    "yes",
    "no",
    "on",
    "off",
    "y",
    "n",
    "~",
    "null",
    "Null",
    "true",
    "True",
    "0123",
    "0o17",
    "0x1F",
    "0b11",
    "1e3",
    "1_000",
    ".5",
    "+1",
    "-",
    "12:30:45",
    "2024-01-01",
    "2024-01-01T00:00:00Z",
    ".inf",
    ".NaN",
    "<<",
    "<<",
    "=",
    "",
    " a ",
    "a: b",
    "a #b",
    "# c",
    "- d",
    "? e",
    "!f",
    "&g",
    "*h",
    "@i",
    "`j`",
    "%k",
    "{{ l }}",
    "${m}",
    "[n",
    "\"o\"",
    "'p'",
    "two\nlines and: more\n\n  - indented # no comment",
    "http://a:1/b",
    "a:",
    "a:b:",
    "x\n ",
    "two\nlines",
    "two\nlines\n",
    "\n  three\n\n",
    "tab\tand\r\n",
    "\u{85}\u{2028}\u{feff}ü",
    "trailing: ",
];

/// helm, kubectl, Argo CD and Flux read YAML 1.1 with Go's parsers, as `yaml` does.
#[test]
fn values_read_back_as_they_are() {
    let keys: Value =
        TEXTS.iter().map(|text| ((*text).to_owned(), Value::from(*text))).collect::<serde_json::Map<_, _>>().into();
    let nested = json!([[["a"], []], {}, [{"a": [{"b": "c\nd\n"}], "e": {}}], "f\ng", null, true]);
    let values = json!({"nested": nested, "texts": TEXTS, "keys": keys, "numbers": [0, -1, 1.5, 1e21, 9_007_199_254_740_993_i64]});
    for tool in [ExportTool::Argocd, ExportTool::Flux, ExportTool::Helmfile] {
        let mut releases = releases("https://charts.example");
        releases[1].values = values.clone();
        let files = export(tool, SecretTemplate::Kubernetes, &releases).unwrap();
        let (path, pointer) = match tool {
            ExportTool::Argocd => ("stack/31-oauth2-proxy/application.yaml", "/spec/source/helm/valuesObject"),
            ExportTool::Flux => ("stack/31-oauth2-proxy/release.yaml", "/spec/values"),
            _ => ("values/oauth2-proxy.yaml", ""),
        };
        let text = &files.iter().find(|file| file.path == path).unwrap().text;
        let read = yaml::documents(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let found = read[0].pointer(pointer).unwrap();
        for (at, text) in TEXTS.iter().enumerate() {
            assert_eq!(found["texts"][at], *text, "{tool:?}");
            assert_eq!(found["keys"][*text], *text, "{tool:?}: key {text:?}");
        }
        assert_eq!((&found["numbers"], &found["nested"]), (&values["numbers"], &values["nested"]), "{tool:?}");
    }
}

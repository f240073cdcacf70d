//! Chart values reach the real helm unchanged, and a rerun plans nothing.

use std::process::Command;

use serde_json::{Map, Value, json};
use support::{Sandbox, check};
use tailwatch::helm::{Capabilities, HelmOptions, HelmProgram, Ownership, ReleaseRequest};
use tailwatch::process::ClusterAccess;

use crate::TAILWATCH;
use crate::generated_values::{Generator, as_yaml};

/// What YAML, JSON and helm could read in different ways.
const VALUES: &str = r#"
values:
  loki:
    singleBinary:
      probe: &probe
        words: [yes, off, y, 'yes', "off", 'null', '~', '0644', '1e3', '2001-01-01']
        numbers: [0644, 0x1f, 1_000, 1.0, 1e6, 1.5e-9, 9007199254740993, 18446744073709551615, -0.1, 0.30000000000000004]
        nothing: ~
        1: one
        "key\x7f\x86\u2028\ufeff": key
        texts: ["a\u2028b", "é🦀", "tab\t", "{{ .x }}", "line\nline\n", "", "\x7f", "\\ / \" '"]
        empty: [{}, []]
      merged: { <<: *probe, words: [no] }
      secret: { env: CHART_SECRET }
"#;

/// Generated cases of each kind in one install.
const CASES: usize = 60;

/// Keys of the chart and of tailwatch, taken away below `values.loki`.
const NULLS: &str = "      affinity: null
      terminationGracePeriodSeconds: ~
    loki: { limits_config: { volume_enabled: null }, analytics: null, server: { http_server_read_timeout: Null } }
";

/// Equal, a number as the float that helm makes of every number.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        _ => one == other,
    }
}

/// The seed of a run's cases; `TAILWATCH_VALUES_SEED` repeats one.
fn seed() -> u64 {
    let given = std::env::var("TAILWATCH_VALUES_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() << 20 | u64::from(std::process::id()))
}

/// Generated values below `values:`, with what helm is to keep of them.
struct Generated {
    seed: u64,
    json: Map<String, Value>,
    yaml: String,
}

impl Generated {
    fn new() -> Generated {
        let seed = seed();
        let mut generator = Generator::new(seed);
        let cases = generator.json(CASES).into_iter().enumerate();
        let json = cases.map(|(index, value)| (format!("{index}.value"), value)).collect();
        let yaml = generator.yaml(CASES).into_iter().map(|(key, node)| format!("{key}: {node}\n"));
        Generated { seed, json, yaml: yaml.collect() }
    }

    /// Two entries of a mapping that is indented by six spaces.
    fn below_values(&self) -> String {
        let json = self.json.iter().map(|(key, value)| format!("        \"{key}\": {}\n", as_yaml(value)));
        let indented = |line: &str| if line.is_empty() { "\n".into() } else { format!("        {line}\n") };
        let yaml: String = self.yaml.lines().map(indented).collect();
        format!("      json:\n{}      yaml:\n{yaml}", json.collect::<String>())
    }

    /// What `helm get values` says after `helm install -f` of the YAML text.
    fn yaml_by_helm(&self, sandbox: &Sandbox) -> Value {
        let chart = tempfile::tempdir().unwrap();
        std::fs::write(chart.path().join("Chart.yaml"), "apiVersion: v2\nname: plain\nversion: 1.0.0\n").unwrap();
        let values = chart.path().join("given.yaml");
        std::fs::write(&values, &self.yaml).unwrap();
        let (chart, values) = (chart.path().to_str().unwrap(), values.to_str().unwrap());
        sandbox.helm(&["install", "plain", chart, "-n", "default", "-f", values]).ended_with(0);
        sandbox.helm(&["get", "values", "plain", "-n", "default", "-o", "json"]).ended_with(0).json()
    }

    #[track_caller]
    fn compare(&self, what: &str, kept: &Value, expected: &Map<String, Value>) {
        let kept = kept.as_object().unwrap_or_else(|| panic!("{what}: {kept}"));
        assert!(kept.keys().eq(expected.keys()), "{what}, seed {}", self.seed);
        for (key, value) in expected {
            let source = self.yaml.lines().find(|line| line.starts_with(&format!("{key}:"))).unwrap_or_default();
            assert!(same(&kept[key], value), "{what}, seed {}: {} became {} ({source})", self.seed, value, kept[key]);
        }
    }
}

/// A null removes a default of the chart, and a value that tailwatch sets.
fn nulls_take_defaults_away(sandbox: &Sandbox) {
    let values = |arguments: &[&str]| {
        let all = [&["get", "values", "loki", "-n", "monitoring", "-o", "json"], arguments].concat();
        sandbox.helm(&all).ended_with(0).json()
    };
    let (given, all) = (values(&[]), values(&["--all"]));
    for path in [
        "/singleBinary/affinity",
        "/singleBinary/terminationGracePeriodSeconds",
        "/loki/limits_config/volume_enabled",
        "/loki/analytics",
        "/loki/server/http_server_read_timeout",
    ] {
        assert_eq!(given.pointer(path), Some(&Value::Null), "{path}");
        assert_eq!(all.pointer(path).unwrap_or(&Value::Null), &Value::Null, "{path}");
    }
    assert_eq!(all["loki"]["limits_config"]["query_timeout"], "300s", "the keys beside it stay");
    let set = sandbox.get(&["statefulset", "loki", "-n", "monitoring"]);
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod.get("affinity"), None, "{pod:#}");
    assert_eq!(pod["terminationGracePeriodSeconds"], 30, "the default of Kubernetes");
    let manifest = sandbox.helm(&["get", "manifest", "loki", "-n", "monitoring"]).ended_with(0).stdout;
    assert!(manifest.contains("query_timeout") && manifest.contains("http_server_write_timeout"), "{manifest}");
    for absent in ["volume_enabled", "reporting_enabled", "http_server_read_timeout", "podAntiAffinity"] {
        assert!(!manifest.contains(absent), "{absent}: {manifest}");
    }
}

/// helm reads the values in pieces of 4096 bytes: none may be lost where the text ends with a piece.
fn values_of_any_length_reach_helm(sandbox: &Sandbox) {
    const PIECE: usize = 4096;
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path().join("demo");
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    std::fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: demo\nversion: 1.0.0\n").unwrap();
    std::fs::write(chart.join("templates/length.yaml"), "length: {{ len .Values.text }}\n").unwrap();
    std::fs::write(chart.join("values.yaml"), "text: default\n").unwrap();
    let program = Some(sandbox.file("bin/helm"));
    let access = ClusterAccess::write("{}", "offline", &[folder.path().join("runs")]).unwrap();
    let rendered = async {
        let helm = HelmProgram::discover(HelmOptions { program, ..HelmOptions::default() }).await.unwrap().on(access);
        let mut rendered = Vec::new();
        for whole in [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE - 1, 3 * PIECE] {
            let length = whole - json!({ "text": "" }).to_string().len();
            let request = ReleaseRequest {
                release: "demo",
                namespace: "monitoring",
                chart: &chart,
                values: &json!({ "text": "x".repeat(length) }),
                secrets: &[],
                ownership: Ownership::Respect,
            };
            rendered.push((helm.template(&request, &Capabilities::default()).await.unwrap(), length));
        }
        rendered
    };
    for (documents, length) in tokio::runtime::Runtime::new().unwrap().block_on(rendered) {
        assert_eq!(documents, [json!({ "length": length })]);
    }
}

fn survives(helm: &str) {
    let sandbox = Sandbox::up(TAILWATCH, &["--helm", helm]);
    values_of_any_length_reach_helm(&sandbox);
    let answers = sandbox.answers();
    let text = std::fs::read_to_string(&answers).unwrap();
    assert!(!text.contains("\nvalues:"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answers.yaml");
    let generated = Generated::new();
    std::fs::write(&file, format!("{text}{VALUES}{}{NULLS}", generated.below_values())).unwrap();
    let file = file.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let mut command: Command = sandbox.tailwatch_command(arguments);
        command.env("CHART_SECRET", "c4nary-secret\nof two lines");
        support::CommandOutput::of(command.output().unwrap())
    };
    run(&["install", "--answers", file, "--yes", "--skip-verify"]).ended_with(0);
    let kept = sandbox.helm(&["get", "values", "loki", "-n", "monitoring", "-o", "json"]).ended_with(0).json();
    let kept = &kept["singleBinary"];
    let probe = &kept["probe"];
    assert_eq!(probe["words"], json!([true, false, true, "yes", "off", "null", "~", "0644", "1e3", "2001-01-01"]));
    let numbers: Vec<f64> = probe["numbers"].as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect();
    let expected =
        [420.0, 31.0, 1000.0, 1.0, 1e6, 1.5e-9, 9007199254740992.0, 18446744073709551615.0, -0.1, 0.30000000000000004];
    assert_eq!(numbers, expected);
    assert_eq!(probe.get("nothing"), Some(&Value::Null), "helm keeps the null that takes a default away");
    assert_eq!(probe["1"], "one");
    let texts = json!(["a\u{2028}b", "é🦀", "tab\t", "{{ .x }}", "line\nline\n", "", "\u{7f}", "\\ / \" '"]);
    assert_eq!(probe["texts"], texts);
    assert_eq!((&kept["merged"]["words"], &kept["merged"]["1"]), (&json!([false]), &json!("one")));
    assert_eq!(kept["secret"], "c4nary-secret\nof two lines");
    generated.compare("JSON", &kept["json"], &generated.json);
    let by_helm = generated.yaml_by_helm(&sandbox);
    generated.compare("YAML", &kept["yaml"], by_helm.as_object().unwrap());
    nulls_take_defaults_away(&sandbox);
    let again = run(&["plan", "--answers", file, "--exit-code", "--diff"]).ended_with(0);
    assert!(!again.stdout.contains("c4nary") && !again.stderr.contains("c4nary"), "{}", again.stdout);
    // From the answers that the cluster keeps, too; without the secret's source the key is named.
    run(&["plan", "--exit-code"]).ended_with(0);
    let without = sandbox.tailwatch(&["plan"]).ended_with(3);
    assert!(without.stderr.contains("values.loki.singleBinary.secret"), "{}", without.stderr);
}

#[test]
fn values_survive_helm_4_and_a_rerun_plans_nothing() {
    survives("4");
}

#[test]
fn values_survive_helm_3_and_a_rerun_plans_nothing() {
    survives("3");
}

/// Values files of the test: Alertmanager off, other names.
const STACK_FILE: &str = "alertmanager: { enabled: &off no }
nodeExporter: { enabled: *off }
fullnameOverride: mon
cleanPrometheusOperatorObjectNames: yes
grafana: { fullnameOverride: boards, service: { port: 8080 } }
prometheus: { service: { port: 9191 } }
";

#[test]
fn parts_that_values_files_switch_off_or_rename_are_followed() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).display().to_string()
    };
    let text = std::fs::read_to_string(sandbox.answers()).unwrap();
    let files = "valuesFiles: { kube-prometheus-stack: [stack.yaml], loki: [loki.yaml] }\n";
    write("stack.yaml", STACK_FILE);
    write("loki.yaml", "fullnameOverride: logs\n");
    let file = write("answers.yaml", &format!("{text}{files}"));
    let off = write(
        "off.yaml",
        &format!(
            "{text}values: {{ kube-prometheus-stack: {{ prometheus: {{ enabled: false }} }}, loki: {{ \
             namespaceOverride: other }} }}\n"
        ),
    );
    let preflight = |file: &str| sandbox.tailwatch(&["preflight", "--output", "json", "--answers", file]);
    let checks = preflight(&off).ended_with(4).json()["checks"].clone();
    let address = check(&checks, "service-addresses");
    assert_eq!(address["verdict"], "fail");
    let hint = address["hint"].as_str().unwrap();
    assert!(hint.contains("values.kube-prometheus-stack.prometheus.enabled: true"), "{hint}");

    let moved = check(&checks, "workload-namespaces");
    assert_eq!(moved["verdict"], "fail");
    let hint = moved["hint"].as_str().unwrap();
    assert!(hint.contains("values.loki.namespaceOverride"), "{hint}");

    let checks = preflight(&file).ended_with(0).json()["checks"].clone();
    for id in ["charts", "service-addresses", "workload-namespaces"] {
        assert_eq!(check(&checks, id)["verdict"], "pass", "{:#}", check(&checks, id));
    }
    sandbox.tailwatch(&["install", "--answers", &file, "--yes"]).ended_with(0);
    let checks =
        sandbox.tailwatch(&["verify", "--output", "json", "--answers", &file]).ended_with(0).json()["checks"].clone();
    let skipped = check(&checks, "alertmanager-accepts-alerts");
    assert_eq!(skipped["verdict"], "skip");
    assert_eq!(skipped["detail"], "not installed by your answers (kube-prometheus-stack.alertmanager.enabled)");
    for id in ["grafana-reads-prometheus", "grafana-reads-loki", "logs-in-grafana", "grafana-network-policy"] {
        assert_eq!(check(&checks, id)["verdict"], "pass", "{id}");
    }
    assert_eq!(check(&checks, "oauth2-proxy-config")["verdict"], "pass");
    let config = sandbox.get(&["configmap", "oauth2-proxy", "-n", "monitoring"]);
    assert!(config["data"]["oauth2_proxy.cfg"].as_str().unwrap().contains("http://boards.monitoring.svc:8080/"));
    // From the saved answers on another machine: the contents of the files are in the cluster.
    drop(folder);
    sandbox.tailwatch(&["plan", "--exit-code"]).ended_with(0);
}

//! From answers to a verified stack, and the same again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Sandbox, of_kind, verdicts};

use crate::TAILWATCH;

const PINNED: [(&str, u64, &str); 4] = [
    ("kube-prometheus-stack", 30, "kube-prometheus-stack-79.10.0"),
    ("oauth2-proxy", 30, "oauth2-proxy-10.7.0"),
    ("loki", 32, "loki-6.46.0"),
    ("alloy", 33, "alloy-1.4.0"),
];

#[test]
fn helm_4_installs_a_verified_stack() {
    main_job("4");
}

#[test]
fn helm_3_installs_a_verified_stack() {
    main_job("3");
}

fn main_job(helm: &str) {
    let sandbox = Sandbox::up(TAILWATCH, &["--helm", helm]);
    let log = sandbox.file("run.log").display().to_string();
    let installed = sandbox.install(&["--output", "json", "--log-file", &log]).ended_with(0);
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("run-finished") && log.contains(r#""helm":["upgrade""#), "{log}");
    assert!(!log.contains(sandbox.variable("AUTH0_CLIENT_SECRET")), "the secret is in the log");
    assert!(!log.contains(r#""helm":["list""#), "helm started to read the cluster: {log}");
    let events = installed.events();
    the_events_tell_the_whole_run(&events);
    let expected: Vec<_> = PINNED.iter().map(|(name, _, chart)| ((*name).to_owned(), (*chart).to_owned())).collect();
    let mut expected = expected;
    expected.sort();
    assert_eq!(sandbox.releases(), expected);
    the_client_secret_is_in_one_place(&sandbox, &installed.stdout, &installed.stderr);
    nothing_is_left_beside(&sandbox);
    no_address_depends_on_the_domain_of_the_cluster(&sandbox);

    let before = sandbox.changes().len();
    let again = sandbox.install(&["--output", "json"]).ended_with(0);
    for finished in of_kind(&again.events(), "step-finished") {
        assert_eq!(finished["outcome"], "unchanged", "{finished}");
    }
    let changes: Vec<_> = sandbox.changes().split_off(before);
    let ours: Vec<_> =
        changes.iter().filter(|(agent, ..)| !agent.starts_with("kube-") && !agent.starts_with("kwok")).collect();
    let harmless = |resource: &str| matches!(resource, "selfsubjectaccessreviews" | "pods" | "leases" | "events");
    assert!(
        ours.iter().all(|(agent, _, resource)| harmless(resource) || agent.starts_with("PrometheusOperator")),
        "{ours:#?}"
    );

    objects_are_read_by_lists(&sandbox);
    the_reading_commands_agree(&sandbox);
    no_packet_left_loopback(&sandbox);
}

/// Of what the charts rendered and what the operator made of it: the domain is not `cluster.local` everywhere.
fn no_address_depends_on_the_domain_of_the_cluster(sandbox: &Sandbox) {
    let kinds = "configmaps,deployments,statefulsets,daemonsets,prometheuses,alertmanagers";
    let found = sandbox.get(&["-n", "monitoring", kinds]);
    let texts = found["items"].as_array().unwrap().iter().map(Value::to_string);
    let dependent: Vec<_> = texts.filter(|text| text.contains("svc.cluster.local")).collect();
    assert!(dependent.is_empty(), "{dependent:#?}");
}

fn the_events_tell_the_whole_run(events: &[Value]) {
    assert_eq!(events[0]["event"], "run-started");
    let steps: Vec<_> = events[0]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["component"].as_str().unwrap(), step["wave"].as_u64().unwrap()))
        .collect();
    assert_eq!(steps, PINNED.map(|(name, wave, _)| (name, wave)));
    assert!(of_kind(events, "run-started").len() == 1 && of_kind(events, "run-finished").len() == 1);
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["outcome"]), (&"run-finished".into(), &"succeeded".into()));
    assert!(last["peakRssKiB"].as_u64().unwrap() > 0 && last["apiRequests"]["list"].as_u64().unwrap() > 0, "{last}");
    assert!(events.iter().all(|event| event["time"].is_string()));

    let finished = of_kind(events, "step-finished");
    assert_eq!(finished.len(), PINNED.len());
    assert!(finished.iter().all(|step| step["outcome"] == "installed"), "{finished:#?}");
    let position = |kind: &str, wave: u64| {
        events.iter().position(|event| event["event"] == kind && event["wave"] == wave).unwrap()
    };
    for pair in PINNED.windows(2) {
        let (lower, upper) = (pair[0].1, pair[1].1);
        assert!(position("step-finished", lower) < position("wave-finished", lower));
        if lower < upper {
            assert!(position("wave-finished", lower) < position("wave-started", upper), "wave {upper} began too early");
        }
    }
    let step = |kind: &str, component: &str| {
        events.iter().position(|event| event["event"] == kind && event["component"] == component).unwrap()
    };
    let (stack, proxy) = ("kube-prometheus-stack", "oauth2-proxy");
    assert!(step("step-started", stack) < step("step-started", proxy), "its CRDs and NetworkPolicies come first");
    assert!(step("step-started", proxy) < step("step-finished", stack), "they start side by side");
    assert!(step("step-finished", stack) < step("step-finished", proxy), "the Ingress is ready with Grafana");
    let verdicts = verdicts(&last["checks"]);
    assert_eq!(verdicts, crate::every_check_passes());
    let announced: Vec<&Value> = of_kind(events, "checks-started")[0]["checks"].as_array().unwrap().iter().collect();
    let finished = of_kind(events, "check-finished");
    let (of_stack, of_preflight): (Vec<_>, Vec<_>) =
        finished.iter().map(|check| &check["id"]).partition(|id| announced.contains(id));
    assert_eq!((announced.len(), of_stack.len()), (verdicts.len(), verdicts.len()));
    assert!(of_preflight.iter().any(|id| *id == "storage-class"), "{of_preflight:?}");
    assert_eq!(
        of_preflight.iter().map(|id| id.as_str()).collect::<BTreeSet<_>>().len(),
        of_preflight.len(),
        "each check once"
    );
}

/// The canary is searched for in everything the cluster keeps, in every output, in every file that the run could have
/// written. helm's records are gzipped in base64, so they are unpacked first.
fn the_client_secret_is_in_one_place(sandbox: &Sandbox, stdout: &str, stderr: &str) {
    let canary = sandbox.variable("AUTH0_CLIENT_SECRET");
    assert!(canary.starts_with("canary-"));
    assert!(!stdout.contains(canary) && !stderr.contains(canary));
    let kinds = sandbox.kubectl(&["api-resources", "--verbs=list", "-o", "name"]);
    let kinds = kinds.lines().filter(|kind| !kind.contains("metrics")).collect::<Vec<_>>().join(",");
    let everything = sandbox.get(&[&kinds, "-A"]);
    let mut places = Vec::new();
    for object in everything["items"].as_array().unwrap() {
        let mut texts = vec![object.to_string()];
        if object["kind"] == "Secret" {
            let data = object["data"].as_object().cloned().unwrap_or_default();
            texts.extend(data.values().filter_map(Value::as_str).map(unpacked));
        }
        if texts.iter().any(|text| text.contains(canary)) {
            places.push(format!(
                "{} {}",
                object["kind"].as_str().unwrap(),
                object["metadata"]["name"].as_str().unwrap()
            ));
        }
    }
    assert_eq!(places, ["Secret oauth2-proxy-auth0"]);
    for file in ["audit.log", "egress.log"] {
        assert!(!std::fs::read_to_string(sandbox.file(file)).unwrap().contains(canary), "{file}");
    }
    let found = Command::new("grep")
        .args(["-rl", canary])
        .arg(sandbox.file("home"))
        .arg(sandbox.file("cache"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

/// Base64, and inside it once more base64 of gzip where it is a helm record.
fn unpacked(text: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let Ok(once) = STANDARD.decode(text) else { return String::new() };
    let twice = STANDARD.decode(&once).ok().filter(|bytes| bytes.starts_with(&[0x1f, 0x8b]));
    let Some(packed) = twice else { return String::from_utf8_lossy(&once).into_owned() };
    let mut child = Command::new("gzip")
        .arg("-dc")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("gzip runs");
    let mut stdin = child.stdin.take().unwrap();
    std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &packed));
    String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
}

/// Values files lie in the temporary folder only while helm reads them.
fn nothing_is_left_beside(sandbox: &Sandbox) {
    let folder = sandbox.file("home");
    let files = Command::new("find").arg(&folder).args(["-name", "tailwatch-*.yaml"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&files.stdout), "");
}

/// A run that changes nothing starts no helm but for its version, and reads at most one object of a kind in a namespace
/// by its name, besides the three namespaces: the others are in lists.
fn objects_are_read_by_lists(sandbox: &Sandbox) {
    let log = sandbox.file("unchanged.log").display().to_string();
    let before = sandbox.requests().len();
    sandbox.install(&["--skip-verify", "--log-file", &log]).ended_with(0);
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("run-finished") && !log.contains(r#""helm":["#), "{log}");
    let mut by_name: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in sandbox.requests().split_off(before) {
        let text = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        if text("/verb") == "get" && !text("/objectRef/name").is_empty() {
            let resource = text("/objectRef/resource");
            // The audit log has the namespace of a Namespace, too.
            let namespace = if resource == "namespaces" { String::new() } else { text("/objectRef/namespace") };
            by_name.entry(format!("{namespace} {resource}")).or_default().insert(text("/objectRef/name"));
        }
    }
    let namespaces = by_name.remove(" namespaces").unwrap();
    assert!(namespaces.iter().all(|name| ["kube-system", "monitoring", "tailscale"].contains(&name.as_str())));
    assert!(by_name.values().all(|names| names.len() == 1), "{by_name:#?}");
}

fn the_reading_commands_agree(sandbox: &Sandbox) {
    let status = sandbox.tailwatch(&["status", "--output", "json"]).ended_with(0).json();
    assert_eq!(status["address"], "grafana.tail1a2b.ts.net");
    for release in status["releases"].as_array().unwrap() {
        assert_eq!((&release["status"], &release["ready"]), (&"deployed".into(), &release["desired"]), "{release}");
    }
    assert_eq!(status["newest"], Value::Null, "not asked for");
    let checked = sandbox.tailwatch(&["status", "--check-updates", "--output", "json"]).ended_with(0).json();
    assert_eq!((&checked["newest"]["loki"], &checked["releases"]), (&"6.55.0".into(), &status["releases"]));
    let shown = sandbox.tailwatch(&["status", "--check-updates"]).ended_with(0).stdout;
    assert!(shown.contains("loki 6.46.0 -> 6.55.0"), "{shown}");
    // Without the answers file: the cluster keeps what a later run needs.
    let verified = sandbox.tailwatch(&["verify", "--output", "json"]).ended_with(0).json();
    assert!(verdicts(&verified["checks"]).values().all(|verdict| verdict == "pass"), "{verified:#}");
    let one = sandbox.tailwatch(&["verify", "--check", "loki-retention", "--output", "json"]).ended_with(0).json();
    let ids: BTreeMap<_, _> = verdicts(&one["checks"]);
    assert_eq!(ids.keys().map(String::as_str).collect::<Vec<_>>(), ["loki-ready", "loki-retention"]);
    let planned = sandbox.tailwatch(&["plan", "--exit-code", "--output", "json"]).ended_with(0).json();
    assert!(planned["steps"].as_array().unwrap().iter().all(|step| step["action"] == "unchanged"), "{planned:#}");
    let answers = sandbox.answers();
    let changed = sandbox
        .tailwatch(&["plan", "--exit-code", "--diff", "--answers", &answers, "--set", "retention.logs=14d"])
        .ended_with(8);
    assert!(changed.stdout.contains("+    retention_period: 336h"), "{}", changed.stdout);
    sandbox.tailwatch(&["preflight", "--answers", &answers]).ended_with(0);
}

/// Everything that the API server asked its egress proxy for went to loopback or was refused.
fn no_packet_left_loopback(sandbox: &Sandbox) {
    let log = std::fs::read_to_string(sandbox.file("egress.log")).unwrap();
    let asked: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!asked.is_empty(), "the API server asked its egress proxy for nothing");
    for request in asked {
        let to = request["to"].as_str().unwrap();
        assert!(to == "refused" || to.starts_with("127.0.0.1:"), "{request}");
    }
    for child in
        ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "kwok", "prometheus", "oauth2-proxy"]
    {
        assert!(sandbox.file("log").join(format!("{child}.log")).exists(), "{child} has no log");
    }
    if Path::new("/proc/net/tcp").exists() {
        listeners_are_on_loopback(sandbox);
    }
}

/// Every socket on which a process of the sandbox listens is bound to 127.0.0.1 or ::1.
fn listeners_are_on_loopback(sandbox: &Sandbox) {
    let daemon = std::fs::read_to_string(sandbox.file("pid")).unwrap().trim().to_owned();
    let mut family = vec![daemon.clone()];
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        if status.lines().any(|line| line.strip_prefix("PPid:").is_some_and(|parent| parent.trim() == daemon)) {
            family.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    assert!(family.len() >= 7, "{family:?}");
    let mut sockets = Vec::new();
    for pid in &family {
        for descriptor in std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let target = std::fs::read_link(descriptor.path()).unwrap_or_default().display().to_string();
            sockets.extend(target.strip_prefix("socket:[").map(|rest| rest.trim_end_matches(']').to_owned()));
        }
    }
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in std::fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (local, state, inode) = (fields[1], fields[3], fields[9]);
            let is_loopback = local.starts_with("0100007F:")
                || local.starts_with("00000000000000000000000001000000:")
                || local.starts_with("0000000000000000FFFF00000100007F:");
            assert!(state != "0A" || is_loopback || !sockets.iter().any(|socket| socket == inode), "{table}: {line}");
        }
    }
}

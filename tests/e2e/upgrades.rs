//! `tailwatch upgrade`: what it offers, what it takes, and what it refuses.

use std::path::{Path, PathBuf};
use std::process::Command;

use rexpect::session::{PtySession, spawn_command};
use serde_json::Value;
use support::{Sandbox, of_kind, verdicts};

use crate::TAILWATCH;
use crate::rerun::kept_answers;

const PATIENCE_MS: u64 = 60_000;

/// (component, outcome) in plan order.
fn outcomes(events: &[Value]) -> Vec<(String, String)> {
    let text = |step: &Value, key: &str| step[key].as_str().unwrap().to_owned();
    of_kind(events, "step-finished").iter().map(|step| (text(step, "component"), text(step, "outcome"))).collect()
}

fn changed(events: &[Value]) -> Vec<String> {
    outcomes(events).into_iter().filter(|(_, outcome)| outcome != "unchanged").map(|(name, _)| name).collect()
}

/// (component, installed, target) of the list.
fn offered(document: &Value) -> Vec<(String, String, String)> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or("-").to_owned();
    let rows = document["components"].as_array().unwrap().iter();
    rows.map(|row| (text(row, "component"), text(row, "installed"), text(row, "target"))).collect()
}

#[test]
fn newer_versions_are_listed_chosen_and_taken() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    sandbox.tailwatch(&["upgrade"]).ended_with(4);
    sandbox.install(&["--skip-verify"]).ended_with(0);
    let installed = sandbox.releases();

    the_list_changes_nothing(&sandbox);
    what_is_not_there_or_older_is_refused(&sandbox);
    a_person_may_choose_nothing_or_decline(&sandbox);
    assert_eq!(sandbox.releases(), installed);

    let one = sandbox.tailwatch(&["upgrade", "--to", "loki=6.55.0", "--yes", "--skip-verify", "--output", "json"]);
    let events = one.ended_with(0).events();
    assert_eq!(events[0]["command"], "upgrade");
    assert_eq!(changed(&events), ["loki"]);

    who_owns_fields_of_crds_is_reported(&sandbox);
    let all = sandbox.tailwatch(&["upgrade", "--latest", "--yes", "--output", "json"]).ended_with(0).events();
    assert_eq!(changed(&all), ["kube-prometheus-stack", "oauth2-proxy", "alloy"]);
    let reported = of_kind(&all, "notice");
    assert!(
        reported.iter().any(|notice| notice["message"].as_str().unwrap().contains("kubectl-annotate")),
        "{reported:#?}"
    );
    let last = all.last().unwrap();
    let verdicts = verdicts(&last["checks"]);
    assert_eq!(verdicts, crate::every_check_passes());
    let crd = sandbox.get(&["crd", "prometheuses.monitoring.coreos.com"]);
    assert_eq!(crd["metadata"]["annotations"]["operator.prometheus.io/version"], "0.93.1");

    // The chosen versions are answers now.
    let again = sandbox.tailwatch(&["install", "--yes", "--skip-verify", "--output", "json"]).ended_with(0).events();
    assert!(changed(&again).is_empty(), "{again:#?}");
    let list = offered(&sandbox.tailwatch(&["upgrade", "--output", "json"]).ended_with(0).json());
    assert!(list.iter().all(|(_, _, target)| target == "-"), "{list:?}");
    assert_eq!(list.len(), installed.len());
}

fn the_list_changes_nothing(sandbox: &Sandbox) {
    let document = sandbox.tailwatch(&["upgrade", "--output", "json"]).ended_with(0).json();
    let rows = [
        ("kube-prometheus-stack", "79.10.0", "88.5.3"),
        ("oauth2-proxy", "10.7.0", "10.8.0"),
        ("loki", "6.46.0", "6.55.0"),
        ("alloy", "1.4.0", "1.11.1"),
    ];
    let expected = rows.map(|(name, from, to)| (name.to_owned(), from.to_owned(), to.to_owned()));
    assert_eq!(offered(&document), expected);
    let path = document["components"][0]["path"].as_array().unwrap();
    assert!(path[0]["to"] == "80.0.0" && path.last().unwrap()["to"] == "88.0.0", "{path:#?}");
    assert!(path.iter().any(|step| step["rollback"].is_string() && step["to"] == "84.0.0"), "{path:#?}");
    assert!(path.iter().any(|step| step["crds"] == true), "{path:#?}");
    let list = sandbox.tailwatch(&["upgrade"]).ended_with(0);
    assert!(list.stdout.contains("79.10.0 -> 88.5.3"), "{}", list.stdout);
    let repositories = sandbox.helm(&["repo", "list", "-o", "json"]);
    assert!(!repositories.stdout.contains("charts"), "the user's repositories changed: {}", repositories.stdout);
}

fn what_is_not_there_or_older_is_refused(sandbox: &Sandbox) {
    for (arguments, code, reported) in [
        (["--to", "loki=6.50.0"], 2, "6.46.0, 6.55.0"),
        (["--to", "lokki=6.55.0"], 2, " loki?"),
        (["--to", "tailscale-operator=1.102.3"], 2, "tailscale-operator"),
        (["--to", "loki=6.40.0"], 4, "6.40.0"),
    ] {
        let said = sandbox.tailwatch(&[&["upgrade", "--yes"][..], &arguments].concat()).ended_with(code);
        assert!(said.stderr.contains(reported), "{arguments:?}: {}", said.stderr);
    }
    let unconfirmed = sandbox.tailwatch(&["upgrade", "--latest"]).ended_with(2);
    assert!(unconfirmed.stderr.contains("--yes"), "{}", unconfirmed.stderr);
}

fn drive(sandbox: &Sandbox) -> PtySession {
    spawn_command(sandbox.tailwatch_command(&["upgrade"]), Some(PATIENCE_MS)).expect("a pseudo-terminal")
}

fn exit_code(session: PtySession) -> i32 {
    match session.process().wait().expect("it ends") {
        rexpect::process::WaitStatus::Exited(_, code) => code,
        other => panic!("{other:?}"),
    }
}

fn a_person_may_choose_nothing_or_decline(sandbox: &Sandbox) {
    let mut session = drive(sandbox);
    session.exp_string("[x] alloy").expect("every newer version is chosen at first");
    // `a` takes all out.
    session.send("a\r").and_then(|_| session.flush()).unwrap();
    session.exp_eof().unwrap();
    assert_eq!(exit_code(session), 0);

    let mut session = drive(sandbox);
    session.exp_string("[x] alloy").expect("the choice");
    // The first one is taken out, the others stay.
    session.send(" \r").and_then(|_| session.flush()).unwrap();
    // The terminal draws the choice again before the plan.
    session.exp_string("wave 30").expect("the plan");
    let plan = session.exp_string("as planned?").expect("the confirmation");
    assert!(!plan.contains("79.10.0 -> ") && plan.contains("1.4.0 -> 1.11.1"), "{plan}");
    session.send_line("no").unwrap();
    session.exp_eof().unwrap();
    assert_eq!(exit_code(session), 130);
}

/// An annotation that `kubectl annotate` set is taken over by the chart's.
fn who_owns_fields_of_crds_is_reported(sandbox: &Sandbox) {
    let crd = "prometheuses.monitoring.coreos.com";
    sandbox.kubectl(&["annotate", "crd", crd, "operator.prometheus.io/version=0.86.3", "--overwrite"]);
    let newer = ["--set", "versions.kube-prometheus-stack=88.5.3", "--output", "json"];
    let planned = sandbox.tailwatch(&[&["plan"][..], &newer].concat()).ended_with(0).json();
    let notices: Vec<&str> = planned["notices"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(notices.iter().any(|notice| notice.contains(crd) && notice.contains("kubectl-annotate")), "{notices:#?}");
}

fn run(words: &[&str]) {
    assert!(Command::new(words[0]).args(&words[1..]).status().expect("it runs").success(), "{words:?}");
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// An archive of a folder under another version, in which it differs by its app version alone.
fn repacked(archive: &Path, version: &str, folder: &Path) {
    let work = tempfile::tempdir().unwrap();
    run(&["tar", "xzf", &text(archive), "-C", &text(work.path())]);
    let chart = std::fs::read_dir(work.path()).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
    let metadata = work.path().join(&chart).join("Chart.yaml");
    let written = std::fs::read_to_string(&metadata).unwrap();
    let lines = written.lines().map(|line| match line.split_once(": ") {
        Some(("version", _)) => format!("version: {version}"),
        Some(("appVersion", _)) => format!("appVersion: of-{}", folder.file_name().unwrap().to_string_lossy()),
        _ => line.to_owned(),
    });
    std::fs::write(&metadata, lines.collect::<Vec<_>>().join("\n")).unwrap();
    std::fs::create_dir_all(folder).unwrap();
    let packed = folder.join(format!("{chart}-{version}.tgz"));
    run(&["tar", "czf", &text(&packed), "-C", &text(work.path()), &chart]);
}

/// The sandbox's charts in a folder, with an Alloy of an untested major version.
fn charts_with_an_untried_alloy(sandbox: &Sandbox) -> PathBuf {
    let folder = sandbox.file("newer-charts");
    run(&["cp", "-r", &text(&sandbox.file("charts")), &text(&folder)]);
    repacked(&folder.join("alloy-1.11.1.tgz"), "2.0.0", &folder);
    folder
}

#[test]
fn a_major_that_was_never_tried_needs_an_explicit_yes() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let repository = format!("charts.repository={}", charts_with_an_untried_alloy(&sandbox).display());
    let from = ["--set", repository.as_str(), "--skip-verify"];
    let asked = [&from[..], &["--set", "versions.alloy=2.0.0"]].concat();
    let refused = sandbox.install(&asked).ended_with(4);
    assert!(refused.stderr.contains("alloy 2.0.0"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--allow-unverified") && sandbox.releases().is_empty(), "{}", refused.stderr);

    sandbox.install(&from).ended_with(0);
    let upgrade = |more: &[&str]| sandbox.tailwatch(&[&["upgrade"][..], &from, more].concat());
    let alloy = upgrade(&["--output", "json"]).ended_with(0).json()["components"][3].clone();
    assert_eq!((&alloy["target"], &alloy["unverified"]), (&"1.11.1".into(), &"2.0.0".into()), "{alloy:#}");
    let refused = upgrade(&["--to", "alloy=2.0.0", "--yes"]).ended_with(4);
    assert!(refused.stderr.contains("--allow-unverified"), "{}", refused.stderr);
    let taken = upgrade(&["--to", "alloy=2.0.0", "--yes", "--allow-unverified", "--output", "json"]).ended_with(0);
    assert_eq!(changed(&taken.events()), ["alloy"]);

    // The user has confirmed it.
    let later = sandbox
        .tailwatch(&[&["install", "--yes", "--output", "json", "--set", "retention.logs=14d"][..], &from].concat());
    let events = later.ended_with(0).events();
    assert_eq!(changed(&events), ["loki", "alloy"]);
}

/// A catalogue of folders: Loki is in `left` until 7.0.0, and in `community` from then on. `left` has a 7.1.0, too,
/// which is another product.
fn catalogue_with_a_move(sandbox: &Sandbox) -> PathBuf {
    let (left, community, values) = (sandbox.file("left"), sandbox.file("community"), sandbox.file("values"));
    run(&["cp", "-r", &text(&sandbox.file("charts")), &text(&left)]);
    let newest = left.join("loki-6.55.0.tgz");
    repacked(&newest, "7.1.0", &left);
    repacked(&newest, "7.1.0", &community);
    repacked(&newest, "8.0.0", &community);
    run(&["cp", "-r", concat!(env!("CARGO_MANIFEST_DIR"), "/values"), &text(&values)]);
    let edit = |file: &str, line: &dyn Fn(&str) -> String| {
        let path = values.join(file);
        let edited: Vec<String> = std::fs::read_to_string(&path).unwrap().lines().map(line).collect();
        std::fs::write(&path, edited.join("\n")).unwrap();
    };
    edit("stack.yaml", &|line| match line.trim_start().split_once(": ") {
        Some(("repository", _)) => format!("  repository: {}", text(&left)),
        // The digests, below their versions, are those of the real archives.
        Some(("digests", _)) => String::new(),
        Some((version, _)) if version.starts_with(|first: char| first.is_ascii_digit()) => String::new(),
        _ if line.trim() == "digests:" => String::new(),
        _ => line.to_owned(),
    });
    edit("upgrades/loki.yaml", &|line| match line.trim_start().split_once(": ") {
        Some(("repository", _)) => format!("  repository: {}", text(&community)),
        Some(("- { removed", rest)) if rest.starts_with("rbac.pspEnabled") => {
            "  - { rename: { from: oldResources, to: singleBinary.resources } }".into()
        }
        _ => line.to_owned(),
    });
    values
}

#[test]
fn a_chart_is_taken_from_where_it_has_moved_to() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let values = text(&catalogue_with_a_move(&sandbox));
    let answers = sandbox.file("moved.yaml");
    let plain = std::fs::read_to_string(sandbox.answers()).unwrap();
    std::fs::write(&answers, &plain).unwrap();
    let tailwatch = |arguments: &[&str]| {
        let mut command = sandbox.tailwatch_command(arguments);
        command.env_remove("TAILWATCH_CHART_REPOSITORY");
        command.args(["--values-dir", &values, "--answers", &text(&answers), "--output", "json"]);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned(), stderr)
    };
    let (code, _, stderr) = tailwatch(&["install", "--yes", "--skip-verify"]);
    assert_eq!(code, 0, "{stderr}");
    let (code, listed, stderr) = tailwatch(&["upgrade"]);
    assert_eq!(code, 0, "{stderr}");
    let loki = serde_json::from_str::<Value>(&listed).unwrap()["components"][2].clone();
    assert_eq!((&loki["newer"], &loki["target"]), (&3.into(), &"8.0.0".into()), "6.55.0, 7.1.0, 8.0.0: {loki:#}");
    assert!(loki["path"][0]["repository"].as_str().unwrap().ends_with("/community"), "{loki:#}");

    // What was written for the older chart is taken under its new name; the chart's schema knows no other.
    std::fs::write(
        &answers,
        format!("{plain}\nvalues: {{ loki: {{ oldResources: {{ requests: {{ cpu: 11m }} }} }} }}\n"),
    )
    .unwrap();
    let (code, said, stderr) = tailwatch(&["upgrade", "--to", "loki=7.1.0", "--yes", "--skip-verify"]);
    assert_eq!(code, 0, "{stderr}");
    let events: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(changed(&events), ["loki"]);
    let reported = of_kind(&events, "notice").iter().map(|notice| notice["message"].to_string()).collect::<String>();
    for part in ["values.loki.oldResources", "singleBinary.resources", "7.0.0"] {
        assert!(reported.contains(part), "{part}: {reported}");
    }
    let listed = sandbox.helm(&["list", "-n", "monitoring", "--filter", "^loki$", "-o", "json"]).json();
    assert_eq!((&listed[0]["chart"], &listed[0]["app_version"]), (&"loki-7.1.0".into(), &"of-community".into()));
    let kept = kept_answers(&sandbox);
    assert!(kept.contains("oldResources"), "the answers are kept as they were written: {kept}");
}

//! A cluster without internet: the stack is installed from a bundle, with images of another registry.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{CommandOutput, Sandbox, check};

use crate::TAILWATCH;
use crate::ignored_values::answers;

const REGISTRY: &str = "registry.acme.example:5000/mirror";

/// The images of all pods.
fn images(sandbox: &Sandbox) -> BTreeSet<String> {
    let pods = sandbox.get(&["pods", "--all-namespaces"]);
    let specs = pods["items"].as_array().unwrap().iter().map(|pod| &pod["spec"]);
    let containers = specs.flat_map(|spec| ["initContainers", "containers"].map(|key| spec[key].as_array()));
    containers.flatten().flatten().map(|container| container["image"].as_str().unwrap().to_owned()).collect()
}

fn lines(file: &Path) -> BTreeSet<String> {
    std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

/// The bundle in one archive, written on a machine without a cluster and without secrets, and unpacked. The sandbox's proxy
/// refuses the registries of the images, so their digests are left out.
fn write_bundle(sandbox: &Sandbox) -> String {
    let archive = sandbox.file("bundle.tar.gz").display().to_string();
    let answers = sandbox.answers();
    let write = |more: &[&str]| {
        let words = ["bundle", "--out", &archive, "--answers", &answers, "--output", "json"];
        let mut command = sandbox.tailwatch_command(&[&words, more].concat());
        command.env("KUBECONFIG", "/nowhere").env_remove("AUTH0_CLIENT_SECRET");
        CommandOutput::of(command.output().unwrap())
    };
    let refused = write(&[]);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(refused.code != Some(0) && said.contains("--without-digests"), "{said}");
    assert!(!Path::new(&archive).exists());
    let document = write(&["--without-digests"]).ended_with(0).json();
    assert_eq!(document["charts"].as_array().unwrap().len(), 5);
    let mut unpack = Command::new("tar");
    unpack.args(["-xzf", &archive, "-C"]).arg(sandbox.file(""));
    CommandOutput::of(unpack.output().unwrap()).ended_with(0);
    archive
}

/// Runs copy-images.sh with a `crane` that records its arguments; returns the copies.
fn copied(sandbox: &Sandbox) -> BTreeSet<String> {
    let tools = sandbox.file("tools");
    std::fs::create_dir(&tools).unwrap();
    let (crane, record) = (tools.join("crane"), sandbox.file("copies"));
    std::fs::write(&crane, format!("#!/bin/sh\necho \"$@\" >>{}\n", record.display())).unwrap();
    std::fs::set_permissions(&crane, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut script = Command::new(sandbox.file("bundle/copy-images.sh"));
    script.arg(REGISTRY).env("PATH", format!("{}:/usr/bin:/bin", tools.display()));
    CommandOutput::of(script.output().unwrap()).ended_with(0);
    lines(&record)
}

#[test]
fn a_bundle_installs_the_stack_with_images_of_a_registry() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    sandbox.kubectl(&["delete", "ingressclass", "tailscale"]);
    let before = images(&sandbox);
    let archive = write_bundle(&sandbox);
    let mut compared = Command::new("sha256sum");
    compared.args(["--check", "--strict", "SHA256SUMS"]).current_dir(sandbox.file("bundle"));
    CommandOutput::of(compared.output().unwrap()).ended_with(0);
    let published = lines(&sandbox.file("bundle/images.txt"));
    let of = |image: &String| format!("{REGISTRY}/{}", image.split_once('/').unwrap().1);
    let mut list = std::fs::OpenOptions::new().append(true).open(sandbox.file("bundle/images.txt")).unwrap();
    writeln!(list, "quay.io/acme/tagged:1@sha256:0a\nlocalhost:5000/acme/untagged@sha256:0b").unwrap();
    let by_digest = [
        format!("copy quay.io/acme/tagged@sha256:0a {REGISTRY}/acme/tagged:1"),
        format!("copy localhost:5000/acme/untagged@sha256:0b {REGISTRY}/acme/untagged@sha256:0b"),
    ];
    let by_tag = published.iter().map(|image| format!("copy {image} {}", of(image)));
    assert_eq!(copied(&sandbox), by_tag.chain(by_digest).collect());

    let secret = sandbox.file("operator-secret").display().to_string();
    std::fs::write(&secret, "tskey-1").unwrap();
    let folder = sandbox.file("bundle").display().to_string();
    let settings = [
        format!("images.registry={REGISTRY}"),
        "tailscale.oauth.clientId=kOperator".to_owned(),
        format!("tailscale.oauth.clientSecret={{ file: {secret} }}"),
    ];
    // The charts come from the bundle alone: nothing serves the repository of the environment.
    let run = |command: &[&str], file: &str, bundle: &str| {
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        let files = ["--answers", file, "--bundle", bundle];
        let words: Vec<&str> = command.iter().copied().chain(settings).chain(files).collect();
        let mut command = sandbox.tailwatch_command(&words);
        command.env("TAILWATCH_CHART_REPOSITORY", "https://charts.invalid");
        CommandOutput::of(command.output().unwrap())
    };
    let row = |file: &str| -> Value {
        let preflight = run(&["preflight", "--output", "json"], file, &folder).ended_with(0).json();
        check(&preflight["checks"], "image-registry").clone()
    };
    let own = answers(&sandbox, "loki: { loki: { image: { repository: acme/loki } } }");
    assert_eq!(row(&own)["verdict"], "pass", "the rest of a name is not compared");
    // In this chart the registry of an image comes before the one of all images.
    let elsewhere = row(&answers(&sandbox, "oauth2-proxy: { image: { registry: quay.io } }"));
    assert_eq!(elsewhere["verdict"], "warn");
    let expected = "Deployment monitoring/oauth2-proxy: quay.io/oauth2-proxy/oauth2-proxy:v7.15.3";
    assert!(elsewhere["detail"].as_str().unwrap().ends_with(expected), "{elsewhere}");

    run(&["install", "--yes"], &sandbox.answers(), &archive).ended_with(0);
    let pulled: BTreeSet<String> = images(&sandbox).difference(&before).cloned().collect();
    let available: BTreeSet<String> = published.iter().map(of).collect();
    let unused: Vec<&String> = available.difference(&pulled).collect();
    assert!(pulled.is_subset(&available), "{pulled:#?}\n{available:#?}");
    assert_eq!(unused.len(), 1, "{unused:?}");
    assert!(unused[0].contains("/tailscale/tailscale:"), "that of the proxies, which the operator creates: {unused:?}");

    // A run without the answers uses the saved ones.
    let folder = sandbox.file("export").display().to_string();
    sandbox.tailwatch(&["export", "manifests", "--out", &folder]).ended_with(0);
    assert_eq!(lines(&sandbox.file("export/images.txt")), available);
}

//! The stand-in charts: they render under both helms, and refuse what they do not model.

use std::path::{Path, PathBuf};
use std::process::Command;

use support::Sandbox;

use crate::TAILWATCH;

fn render(helm: &Path, chart: &Path, more: &[&str]) -> Result<String, String> {
    let output = Command::new(helm)
        .args(["template", "x"])
        .arg(chart)
        .args(["-n", "monitoring", "--kube-version", "1.36.1"])
        .args(more)
        .output()
        .expect("helm runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn every_chart_is_in_two_versions_and_refuses_what_it_does_not_know() {
    let (four, three) = (
        Sandbox::up(TAILWATCH, &["--helm", "4", "--nodes", "1"]),
        Sandbox::up(TAILWATCH, &["--helm", "3", "--nodes", "1"]),
    );
    let helms: Vec<PathBuf> = [&four, &three].map(|sandbox| sandbox.file("bin/helm")).into();
    let folder = four.file("charts");
    let mut archives: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    archives.sort();
    for name in ["kube-prometheus-stack", "oauth2-proxy", "loki", "alloy", "tailscale-operator"] {
        let versions: Vec<&String> = archives
            .iter()
            .filter(|file| {
                file.strip_prefix(name).is_some_and(|rest| rest[1..].starts_with(|c: char| c.is_ascii_digit()))
            })
            .collect();
        assert!(versions.len() >= 2, "{name}: {versions:?}");
        for (helm, file) in helms.iter().flat_map(|helm| versions.iter().map(move |file| (helm, file))) {
            let chart = folder.join(file);
            let refused = render(helm, &chart, &["--set", "noSuchKey=1"]).expect_err(file);
            assert!(refused.contains("noSuchKey"), "{file}: {refused}");
        }
    }
    // The same source gives the same archive, so that a digest stays locked across sandboxes.
    for file in &archives {
        let bytes = |sandbox: &Sandbox| std::fs::read(sandbox.file("charts").join(file)).unwrap();
        assert!(bytes(&four) == bytes(&three), "{file} differs between two sandboxes");
    }
    the_stand_in_of_loki_fails_where_loki_fails(&four);
}

/// Loki's own traps, which the values have to avoid.
fn the_stand_in_of_loki_fails_where_loki_fails(sandbox: &Sandbox) {
    let (helm, chart) = (sandbox.file("bin/helm"), sandbox.file("charts/loki-6.46.0.tgz"));
    assert!(render(&helm, &chart, &[]).is_err(), "without a schema the real chart refuses to render");
    let values = sandbox.file("loki-values.yaml");
    std::fs::write(
        &values,
        "deploymentMode: SingleBinary\nloki:\n  storage: { type: filesystem }\n  schemaConfig:\n    configs: [{ from: '2025-01-01', \
         store: tsdb, object_store: filesystem, schema: v13, index: { prefix: i_, period: 24h } }]\nsingleBinary: { replicas: 1 }\n",
    )
    .unwrap();
    let values = values.display().to_string();
    let refused =
        render(&helm, &chart, &["-f", &values]).expect_err("read, write and backend replicas are 3 by default");
    assert!(refused.contains("replicas"), "{refused}");
    let off = [
        "-f",
        &values,
        "--set",
        "read.replicas=0,write.replicas=0,backend.replicas=0,lokiCanary.enabled=false,test.enabled=false",
    ];
    let whole = render(&helm, &chart, &off).expect("it renders");
    assert!(
        whole.contains("auth_enabled: true")
            && whole.contains("loki-chunks-cache")
            && whole.contains("whenDeleted: Delete"),
        "{whole}"
    );
}

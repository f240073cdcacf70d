//! A key below `values:` that the chart does not read is reported, and no other is.

use serde_json::Value;
use support::{Sandbox, of_kind};

use crate::TAILWATCH;

/// The notices of `plan`, with some YAML below `values:`.
fn notices(sandbox: &Sandbox, values: &str) -> Vec<String> {
    let file = answers(sandbox, values);
    let plan = sandbox.tailwatch(&["plan", "--output", "json", "--answers", &file]).ended_with(0).json();
    let text = |notice: &Value| notice.as_str().unwrap().to_owned();
    plan["notices"].as_array().unwrap().iter().map(text).collect()
}

/// An answers file of the sandbox with this line below `values:`.
pub fn answers(sandbox: &Sandbox, values: &str) -> String {
    let file = sandbox.file("own-values.yaml");
    let answers = std::fs::read_to_string(sandbox.answers()).unwrap();
    std::fs::write(&file, format!("{answers}values:\n  {values}\n")).unwrap();
    file.display().to_string()
}

#[test]
fn a_key_that_the_chart_ignores_is_reported_and_no_other() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    // Known ones, the chart's own defaults, and whatever is passed on below a mapping without keys of its own.
    for right in [
        "loki: { singleBinary: { terminationGracePeriodSeconds: 60 } }",
        "loki: { singleBinary: { terminationGracePeriodSeconds: 30, nodeSelector: {}, resources: {} } }",
        "loki: { singleBinary: { resources: { limits: { cpu: 2, memory: 1Gi } }, podAnnotations: { a.b/c: d } } }",
        // The default of the catalogue's own values, which the chart's do not have.
        "loki: { loki: { limits_config: { retention_period: 168h } } }",
    ] {
        assert_eq!(notices(&sandbox, right), Vec::<String>::new(), "{right}");
    }
    let typo = "loki: { singleBinary: { replicaz: 2, persistance: { size: 9Gi, enabled: true } } }";
    let ignored = notices(&sandbox, typo);
    insta::assert_snapshot!(ignored.join("\n"), @r"
    values.loki.singleBinary.persistance: chart loki 6.46.0 ignores it; did you mean persistence?
    values.loki.singleBinary.replicaz: chart loki 6.46.0 ignores it; did you mean replicas?
    ");
    let file = answers(&sandbox, typo);
    let preflight = sandbox.tailwatch(&["preflight", "--output", "json", "--answers", &file]).ended_with(0).json();
    let charts = preflight["checks"].as_array().unwrap().iter().find(|check| check["id"] == "charts").unwrap();
    assert_eq!(charts["verdict"], "warn");
    assert!(charts["detail"].as_str().unwrap().contains(&ignored[1]), "{charts}");

    let install = ["install", "--yes", "--skip-verify", "--output", "json", "--answers", &file];
    let events = sandbox.tailwatch(&install).ended_with(0).events();
    let reported: Vec<&str> =
        of_kind(&events, "notice").iter().map(|notice| notice["message"].as_str().unwrap()).collect();
    assert_eq!(reported, ignored);
    // A step that changes nothing renders nothing.
    assert_eq!(notices(&sandbox, typo), Vec::<String>::new());
}

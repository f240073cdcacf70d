use super::*;
use crate::check::row::State;
use serde_json::json;

fn trial(kind: &str, name: &str) -> Trial<'static> {
    Trial::for_tests(json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "m"}}))
}

fn rejection(words: &str, by: RejectedBy, is_substituted: bool) -> DryRun {
    DryRun::Rejected(Rejection { words: words.into(), hint: None, by, is_substituted })
}

#[test]
fn objects_with_the_same_rejection_are_one_finding() {
    let mut found = DryRuns::default();
    // The answers arrive in any order, and the finding is the same.
    found.add(&trial("Service", "kps-kube-proxy"), rejection("managed", RejectedBy::Admission, false), &[]);
    found.add(&trial("Service", "kps-coredns"), rejection("managed", RejectedBy::Admission, false), &[]);
    found.add(&trial("ConfigMap", "a"), DryRun::Accepted, &[]);
    found.add(&trial("Probe", "a"), DryRun::UnknownKind, &[]);
    let judged = judge(&found);
    assert_eq!(judged.state, State::Fail);
    let expected = "Service m/kps-coredns, Service m/kps-kube-proxy: managed; not tested: 1 (kinds that the API \
                    server does not serve)";
    assert_eq!(judged.detail, expected);
    let hint = judged.hint.unwrap();
    assert!(hint.contains("values.kube-prometheus-stack.coreDns.enabled: false"), "{hint}");
    assert!(!hint.contains("nodeExporter"), "only what was rejected: {hint}");
    found.has_autopilot_nodes = true;
    let hint = judge(&found).hint.unwrap();
    assert!(hint.contains("GKE Autopilot") && hint.contains("nodeExporter"), "{hint}");
}

#[test]
fn autopilot_is_recognized_by_the_words_of_its_admission() {
    let mut found = DryRuns::default();
    let words = "GKE Warden rejected the request because it violates one or more constraints";
    found.add(&trial("DaemonSet", "a-node-exporter"), rejection(words, RejectedBy::Admission, false), &[]);
    assert!(judge(&found).hint.unwrap().contains("GKE Autopilot"));
}

#[test]
fn a_field_that_helm_leaves_out_is_a_warning() {
    let mut found = DryRuns::default();
    found.add(&trial("DaemonSet", "alloy"), rejection("no such field", RejectedBy::UnknownField, false), &[]);
    let judged = judge(&found);
    assert_eq!((judged.state, judged.hint), (State::Warn, None));
    found.add(&trial("DaemonSet", "alloy"), rejection("no", RejectedBy::Validation, false), &[]);
    assert_eq!(judge(&found).state, State::Fail);
}

#[test]
fn a_rejection_elsewhere_is_a_warning_unless_the_namespace_is_irrelevant() {
    for (by, is_substituted, state) in [
        (RejectedBy::Admission, true, State::Warn),
        (RejectedBy::Admission, false, State::Fail),
        (RejectedBy::Policy, true, State::Fail),
        (RejectedBy::Validation, true, State::Fail),
    ] {
        let mut found = DryRuns::default();
        found.add(&trial("Deployment", "a"), rejection("no", by, is_substituted), &[]);
        assert_eq!(judge(&found).state, state, "{by:?}");
    }
}

#[test]
fn missing_permissions_are_reported_once() {
    let mut found = DryRuns::default();
    found.add(&trial("Service", "a"), DryRun::Forbidden("User x cannot".into()), &[]);
    assert_eq!(judge(&found).state, State::Fail);
    let missing = Permissions::with_exceeding("role");
    assert_eq!(judge(&found.without_reported(&missing)).state, State::Pass);
    let mut of_pods = DryRuns::default();
    let mut pod = trial("Pod", "a");
    pod.is_of_controller = true;
    of_pods.add(&pod, DryRun::Forbidden("User x cannot".into()), &[]);
    assert_eq!(judge(&of_pods).state, State::Pass);
}

#[test]
fn the_schema_of_a_planned_crd_decides() {
    let schema = json!({"properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}});
    let crd = json!({"spec": {"group": "x.example", "names": {"kind": "Thing"},
        "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}});
    let thing = |size: Value| {
        let metadata = json!({"name": "a", "namespace": "m"});
        let object =
            json!({"apiVersion": "x.example/v1", "kind": "Thing", "metadata": metadata, "spec": {"size": size}});
        Trial::for_tests(object)
    };
    for (size, answer, state) in [
        (json!(1), DryRun::UnknownKind, State::Pass),
        (json!("1"), DryRun::UnknownKind, State::Fail),
        (json!(1), rejection("field not declared in schema", RejectedBy::Validation, false), State::Pass),
        (json!(1), rejection("denied", RejectedBy::Admission, false), State::Fail),
    ] {
        let mut found = DryRuns::default();
        found.add(&thing(size), answer, &[&crd]);
        assert_eq!(judge(&found).state, state, "{found:?}");
    }
}

//! Decides for one namespace and its objects what an uninstall deletes and what it retains. Pure.

use crate::cluster::{ObjectRef, PartialObject};
use crate::event::RetainedObject;
use crate::plan::list::name_some;
use crate::plan::uninstall::dependents::describe;
use crate::plan::uninstall::ownership::{Owner, is_of_a_workload, is_record, owner_of, release_of};
use crate::plan::uninstall::scope::{NamespaceOutcome, UninstallScope};
use crate::stack::{ANSWERS_RECORD, MANAGED_BY, SAVED_ANSWERS, TAILSCALE_NAMESPACE, TAILWATCH};

const DELETE_DATA: Option<&str> = Some("--delete-data");
const OPERATOR_RETAINED: &str = "the Tailscale operator is retained";
const UNCONFIRMED: &str = "created or released after the plan was confirmed";
const COPY: &str = "has tailwatch's label, but tailwatch did not set it";
/// Up to this number, objects of other owners are listed one by one.
const NAMED: usize = 20;

/// A namespace and its objects.
#[derive(Clone, Debug, Default)]
pub(in crate::plan) struct NamespaceInventory {
    pub(in crate::plan) namespace: PartialObject,
    pub(in crate::plan) contents: Vec<PartialObject>,
    /// (claim, pod that mounts it)
    pub(in crate::plan) claims_in_use: Vec<(String, String)>,
}

/// What is deleted and what is retained of it.
#[derive(Clone, Debug, Default)]
pub(in crate::plan) struct NamespaceVerdict {
    pub(in crate::plan) deletions: Vec<PartialObject>,
    pub(in crate::plan) end: Option<NamespaceOutcome>,
    pub(in crate::plan) retained: Vec<RetainedObject>,
}

enum Disposition {
    Delete,
    /// Reason, and the option that deletes it.
    Retain(String, Option<&'static str>),
    /// Retained unless the namespace is deleted: the same.
    RetainWithNamespace(&'static str, Option<&'static str>),
    Foreign,
    Ignore,
}

/// As the uninstall reports it.
pub(in crate::plan) fn retained_object(found: &PartialObject, reason: &str, removal: Option<&str>) -> RetainedObject {
    let ObjectRef { kind, namespace, name, .. } = found.reference();
    RetainedObject { kind, namespace, name, reason: reason.to_owned(), removal: removal.map(str::to_owned) }
}

impl NamespaceInventory {
    pub(in crate::plan) fn verdict(&self, scope: &UninstallScope) -> NamespaceVerdict {
        let mut verdict = NamespaceVerdict::default();
        let (mut foreign, mut with_namespace) = (Vec::new(), Vec::new());
        for found in &self.contents {
            match self.disposition(found, scope) {
                Disposition::Delete if scope.is_unconfirmed(found) => {
                    verdict.retained.push(retained_object(found, UNCONFIRMED, DELETE_DATA));
                }
                Disposition::Delete => verdict.deletions.push(found.clone()),
                Disposition::Retain(reason, removal) => verdict.retained.push(retained_object(found, &reason, removal)),
                Disposition::RetainWithNamespace(reason, removal) => {
                    with_namespace.push(retained_object(found, reason, removal))
                }
                Disposition::Foreign => foreign.push(found),
                Disposition::Ignore => {}
            }
        }
        let mut blockers: Vec<String> = foreign.iter().map(|found| describe_in_namespace(found)).collect();
        blockers.sort_unstable();
        blockers.extend(verdict.retained.iter().map(|retained| format!("{} {}", retained.kind, retained.name)));
        let is_ours = self.is_created_by_us() || !with_namespace.is_empty() || !verdict.retained.is_empty();
        let (copies, others): (Vec<&PartialObject>, Vec<&PartialObject>) =
            foreign.into_iter().partition(|found| found.label(MANAGED_BY) == TAILWATCH);
        if is_ours && others.len() <= NAMED {
            verdict
                .retained
                .extend(others.iter().map(|found| retained_object(found, "not managed by tailwatch", None)));
        }
        verdict.retained.extend(copies.iter().map(|found| retained_object(found, COPY, None)));
        verdict.end = self.end(&blockers, scope);
        if !matches!(verdict.end, Some(NamespaceOutcome::Delete(_))) {
            verdict.retained.extend(with_namespace);
            verdict.retained.extend(self.retained(&blockers, scope));
        }
        verdict
    }

    fn disposition(&self, found: &PartialObject, scope: &UninstallScope) -> Disposition {
        let uses_operator = found.namespace() == TAILSCALE_NAMESPACE && scope.retains_operator;
        match owner_of(found, &scope.rows) {
            Owner::Ours if uses_operator => Disposition::Retain(OPERATOR_RETAINED.into(), None),
            Owner::Ours => own_disposition(found, scope),
            Owner::Claim(_) => self.claim_disposition(found, scope),
            Owner::Release(component) if is_record(found) || self.is_installed(&component, scope) => {
                Disposition::Ignore
            }
            Owner::Release(_) => Disposition::RetainWithNamespace("helm.sh/resource-policy: keep", DELETE_DATA),
            Owner::TailscaleOperator if uses_operator => Disposition::Ignore,
            Owner::TailscaleOperator => {
                Disposition::RetainWithNamespace("state of the Tailscale operator", DELETE_DATA)
            }
            Owner::Ignored => Disposition::Ignore,
            Owner::Foreign if self.is_endpoints_of_a_service(found) => Disposition::Ignore,
            Owner::Foreign => Disposition::Foreign,
        }
    }

    /// A claim that a pod of another owner mounts is retained; one with an owner reference is deleted with its owner,
    /// whatever the options.
    fn claim_disposition(&self, found: &PartialObject, scope: &UninstallScope) -> Disposition {
        let mut users = self.claims_in_use.iter().filter(|(claim, _)| claim == found.name()).filter_map(|(_, pod)| {
            let pod = self.contents.iter().find(|found| found.kind == "Pod" && found.name() == pod)?;
            (!pod.is_terminating() && !is_of_a_workload(pod, &scope.rows)).then_some(pod.name())
        });
        match users.next() {
            Some(pod) => Disposition::Retain(format!("Pod {pod}, which tailwatch does not manage, mounts it"), None),
            None if scope.options.data || found.owners().next().is_some() => Disposition::Delete,
            None => Disposition::Retain("data".into(), DELETE_DATA),
        }
    }

    /// Endpoints are deleted with the Service of their name, whichever its owner.
    fn is_endpoints_of_a_service(&self, found: &PartialObject) -> bool {
        let is_it = |other: &PartialObject| other.kind == "Service" && other.name() == found.name();
        found.kind == "Endpoints" && self.contents.iter().any(is_it)
    }

    /// Whether helm has a record of the release.
    fn is_installed(&self, component: &str, scope: &UninstallScope) -> bool {
        self.contents.iter().any(|found| is_record(found) && release_of(found, &scope.rows) == Some(component))
    }

    fn is_created_by_us(&self) -> bool {
        self.namespace.is_created_by_us()
    }

    fn retains_operator(&self, scope: &UninstallScope) -> bool {
        self.namespace.name() == TAILSCALE_NAMESPACE && scope.retains_operator
    }

    fn end(&self, blockers: &[String], scope: &UninstallScope) -> Option<NamespaceOutcome> {
        let reference = self.namespace.reference();
        if self.retains_operator(scope) {
            return None;
        }
        if self.is_created_by_us() {
            let is_deleted = self.namespace.is_terminating() || scope.options.data && blockers.is_empty();
            return is_deleted.then_some(NamespaceOutcome::Delete(reference));
        }
        let recorded = scope.options.data && !self.namespace.annotation(ANSWERS_RECORD).is_empty();
        (self.namespace.is_ours() || recorded).then_some(NamespaceOutcome::RemoveLabels(reference))
    }

    /// Why the namespace itself is retained, if tailwatch labelled or created it.
    fn retained(&self, blockers: &[String], scope: &UninstallScope) -> Option<RetainedObject> {
        let labelled = self.namespace.is_ours();
        let (reason, removal) = match self.is_created_by_us() {
            _ if self.retains_operator(scope) => (OPERATOR_RETAINED.to_owned(), None),
            true if scope.options.data => (format!("it contains {}", name_some(blockers)), None),
            true => ("it contains retained objects".to_owned(), DELETE_DATA),
            false if labelled => ("no record that tailwatch created it".to_owned(), None),
            false => return None,
        };
        Some(retained_object(&self.namespace, &reason, removal))
    }
}

/// End of the name of the Secret with the webhook certificate, whatever the values of the chart.
const WEBHOOK_SUFFIX: &str = "-admission";

fn own_disposition(found: &PartialObject, scope: &UninstallScope) -> Disposition {
    match (found.kind.as_str(), found.name()) {
        _ if scope.options.data => Disposition::Delete,
        // Every install without one creates it.
        ("Secret", name) if name.ends_with(WEBHOOK_SUFFIX) => Disposition::Delete,
        ("Secret", SAVED_ANSWERS) => Disposition::Retain("answers for the next install".into(), DELETE_DATA),
        ("Secret", _) => Disposition::Retain("credentials, which the next install reuses".into(), DELETE_DATA),
        _ => Disposition::Delete,
    }
}

/// Without the namespace, which is reported separately.
fn describe_in_namespace(found: &PartialObject) -> String {
    describe(&ObjectRef { namespace: None, ..found.reference() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::uninstall::scope::UninstallOptions;
    use crate::stack::{Catalogue, MADE_BY_US, OAUTH2_PROXY_SECRET, WEBHOOK_SECRET};
    use serde_json::{Value, json};

    const KEEP: UninstallOptions = UninstallOptions { data: false, crds: false };
    const DELETE: UninstallOptions = UninstallOptions { data: true, crds: false };

    fn scope(options: UninstallOptions) -> UninstallScope {
        let rows = Catalogue::embedded().unwrap().overview("m");
        UninstallScope { namespace: "m".into(), rows, options, retains_operator: false, confirmed: None }
    }

    fn found(kind: &str, name: &str, labels: Value) -> PartialObject {
        found_of("tailwatch", kind, name, labels)
    }

    fn found_of(manager: &str, kind: &str, name: &str, labels: Value) -> PartialObject {
        let metadata = json!({"name": name, "namespace": "m", "labels": labels});
        PartialObject::set_by(manager, &json!({"apiVersion": "v1", "kind": kind, "metadata": metadata}))
    }

    fn ours() -> Value {
        json!({"app.kubernetes.io/managed-by": "tailwatch"})
    }

    fn loki() -> Value {
        json!({"app.kubernetes.io/instance": "loki"})
    }

    /// The stack's namespace without its releases.
    fn place(more: Vec<PartialObject>) -> NamespaceInventory {
        let metadata = json!({"name": "m", "labels": ours(), "annotations": {MADE_BY_US: "true"}});
        let mut contents = vec![
            found("ConfigMap", "kube-root-ca.crt", json!({})),
            found("Secret", SAVED_ANSWERS, ours()),
            found("Secret", OAUTH2_PROXY_SECRET, ours()),
            found("Secret", WEBHOOK_SECRET, ours()),
            found("NetworkPolicy", "tailwatch-loki", ours()),
            found("PersistentVolumeClaim", "storage-loki-0", loki()),
        ];
        contents.extend(more);
        let namespace = PartialObject::set_by(
            "tailwatch-origin",
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}),
        );
        NamespaceInventory { namespace, contents, claims_in_use: vec![("storage-loki-0".into(), "reader".into())] }
    }

    fn names(objects: &[PartialObject]) -> Vec<&str> {
        objects.iter().map(PartialObject::name).collect()
    }

    fn retained_names(verdict: &NamespaceVerdict) -> Vec<(&str, bool)> {
        verdict.retained.iter().map(|retained| (retained.name.as_str(), retained.removal.is_some())).collect()
    }

    #[test]
    fn only_confirmed_claims_and_secrets_are_deleted() {
        let with_uid = |kind: &str, name: &str, labels: Value, uid: &str| {
            let metadata = json!({"name": name, "namespace": "m", "labels": labels, "uid": uid});
            PartialObject::set_by("tailwatch", &json!({"apiVersion": "v1", "kind": kind, "metadata": metadata}))
        };
        let planned =
            [with_uid("PersistentVolumeClaim", "storage-loki-1", loki(), "1"), with_uid("Secret", "a", ours(), "2")];
        let late = [
            // The same name again.
            with_uid("PersistentVolumeClaim", "storage-loki-1", loki(), "3"),
            with_uid("Secret", "b", ours(), "4"),
            with_uid("NetworkPolicy", "c", ours(), "5"),
        ];
        let contents = planned.into_iter().chain(late).collect();
        let place = NamespaceInventory { contents, claims_in_use: vec![], ..place(vec![]) };
        let confirmed = Some(["1", "2"].map(String::from).into());
        let verdict = place.verdict(&UninstallScope { confirmed, ..scope(DELETE) });
        let uids: Vec<&str> = verdict.deletions.iter().map(PartialObject::uid).collect();
        assert_eq!(uids, ["1", "2", "5"]);
        assert_eq!(retained_names(&verdict), [("storage-loki-1", true), ("b", true), ("m", false)]);
        assert_eq!(verdict.retained[0].reason, UNCONFIRMED);
        assert_eq!(verdict.end, None);
        assert_eq!(place.verdict(&scope(DELETE)).deletions.len(), 5, "the next plan deletes all of them");
    }

    #[test]
    fn data_secrets_and_answers_are_retained_by_default() {
        let verdict = place(vec![]).verdict(&scope(KEEP));
        assert_eq!(names(&verdict.deletions), [WEBHOOK_SECRET, "tailwatch-loki"]);
        let expected = [(SAVED_ANSWERS, true), (OAUTH2_PROXY_SECRET, true), ("storage-loki-0", true), ("m", true)];
        assert_eq!(retained_names(&verdict), expected);
        assert_eq!(verdict.end, None);
        let verdict = place(vec![]).verdict(&scope(DELETE));
        assert_eq!(verdict.deletions.len(), 5);
        assert!(verdict.retained.is_empty() && matches!(verdict.end, Some(NamespaceOutcome::Delete(_))), "{verdict:?}");
    }

    #[test]
    fn a_namespace_with_an_object_of_another_owner_is_retained_with_the_reason() {
        let notes = found("ConfigMap", "notes", json!({}));
        let verdict = place(vec![notes]).verdict(&scope(DELETE));
        assert_eq!(verdict.end, None);
        assert_eq!(retained_names(&verdict), [("notes", false), ("m", false)]);
        assert_eq!(verdict.retained[1].reason, "it contains ConfigMap notes");
    }

    #[test]
    fn a_copy_with_our_label_is_retained_with_its_namespace() {
        for kind in ["Secret", "ConfigMap", "Ingress", "NetworkPolicy"] {
            let copy = found_of("kubectl-client-side-apply", kind, "copy", ours());
            let verdict = place(vec![copy]).verdict(&scope(DELETE));
            assert!(!names(&verdict.deletions).contains(&"copy"), "{kind}");
            assert_eq!(retained_names(&verdict), [("copy", false), ("m", false)]);
        }
        let mut copied = place(vec![]);
        let metadata = json!({"name": "m", "labels": ours(), "annotations": {MADE_BY_US: "true"}});
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        copied.namespace = PartialObject::set_by("kubectl-client-side-apply", &namespace);
        assert_eq!(copied.verdict(&scope(DELETE)).end, None, "a namespace created from a copy of ours");
    }

    #[test]
    fn an_older_namespace_loses_our_labels_only() {
        let mut place = place(vec![found("ConfigMap", "notes", json!({}))]);
        place.namespace = found("Namespace", "m", ours());
        for options in [KEEP, DELETE] {
            assert!(matches!(place.verdict(&scope(options)).end, Some(NamespaceOutcome::RemoveLabels(_))));
        }
        place.namespace = found("Namespace", "m", json!({}));
        assert_eq!(place.verdict(&scope(DELETE)).end, None);
        let metadata = json!({"name": "m", "annotations": {ANSWERS_RECORD: "{}"}});
        place.namespace = PartialObject::of(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}));
        assert_eq!(place.verdict(&scope(KEEP)).end, None, "the record is retained with the answers");
        assert!(matches!(place.verdict(&scope(DELETE)).end, Some(NamespaceOutcome::RemoveLabels(_))));
    }

    #[test]
    fn a_claim_that_another_owner_mounts_is_retained() {
        let reader = found("Pod", "reader", json!({"app": "shop"}));
        let verdict = place(vec![reader]).verdict(&scope(DELETE));
        assert!(!names(&verdict.deletions).contains(&"storage-loki-0"));
        assert_eq!(verdict.retained[0].reason, "Pod reader, which tailwatch does not manage, mounts it");
        let own = found("Pod", "reader", loki());
        assert!(names(&place(vec![own]).verdict(&scope(DELETE)).deletions).contains(&"storage-loki-0"));
    }

    #[test]
    fn objects_of_an_installed_release_are_left_to_helm() {
        let marks = json!({"meta.helm.sh/release-name": "loki", "meta.helm.sh/release-namespace": "m"});
        let object = PartialObject::of(
            &json!({"kind": "Service", "metadata": {"name": "loki", "namespace": "m", "annotations": marks}}),
        );
        let record = found("Secret", "sh.helm.release.v1.loki.v1", json!({"owner": "helm", "name": "loki"}));
        let installed = place(vec![object.clone(), record]).verdict(&scope(KEEP));
        assert!(!retained_names(&installed).iter().any(|(name, _)| *name == "loki"));
        let endpoints = found("Endpoints", "loki", json!({}));
        let with_endpoints = place(vec![object.clone(), endpoints]).verdict(&scope(KEEP));
        assert!(with_endpoints.retained.iter().all(|retained| retained.kind != "Endpoints"));
        let orphaned = place(vec![object]).verdict(&scope(KEEP));
        assert!(retained_names(&orphaned).contains(&("loki", true)));
    }

    #[test]
    fn the_namespace_of_a_retained_tailscale_operator_is_retained() {
        let metadata = json!({"name": "tailscale", "labels": ours(), "annotations": {MADE_BY_US: "true"}});
        let namespace = PartialObject::set_by(
            "tailwatch-origin",
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}),
        );
        let secret = |name: &str, labels: Value| {
            let metadata = json!({"name": name, "namespace": "tailscale", "labels": labels});
            PartialObject::set_by("tailwatch", &json!({"kind": "Secret", "metadata": metadata}))
        };
        let contents = vec![secret("operator-oauth", ours()), secret("operator", json!({}))];
        let place = NamespaceInventory { namespace, contents, ..NamespaceInventory::default() };
        let retained = UninstallScope { retains_operator: true, ..scope(DELETE) };
        let verdict = place.verdict(&retained);
        assert!(verdict.deletions.is_empty() && verdict.end.is_none(), "{verdict:?}");
        assert_eq!(retained_names(&verdict), [("operator-oauth", false), ("tailscale", false)]);
        let deleted = place.verdict(&scope(DELETE));
        assert_eq!(names(&deleted.deletions), ["operator-oauth"]);
        assert!(deleted.retained.is_empty() && deleted.end.is_some(), "{deleted:?}");
        let default = place.verdict(&scope(KEEP));
        assert_eq!(retained_names(&default), [("operator-oauth", true), ("operator", true), ("tailscale", true)]);
    }
}

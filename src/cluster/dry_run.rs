//! Server-side dry runs of planned objects: what validation, admission policies, webhooks and LimitRanges of the API
//! server decide, before anything is written.

use std::collections::BTreeSet;

use kube::api::PatchParams;
use kube::core::Status;
use serde_json::Value;

use crate::cluster::apply::apply_patch;
use crate::cluster::own_objects::ABSENT;
use crate::cluster::{Cluster, ClusterError, FIELD_MANAGER, ObjectRef, permitted};
use crate::known_errors::{self, API_ERRORS};

/// Replaces a namespace that does not exist yet: the API server answers 404 to every object in a missing namespace,
/// before it asks policies and webhooks (k8s.io/apiserver pkg/admission/plugin/namespace/lifecycle). This one always
/// exists.
pub const SUBSTITUTE: &str = "default";

/// An object to try.
#[derive(Clone, Debug)]
pub struct DryRunObject<'a> {
    /// Its manifest.
    pub manifest: Value,
    /// Its helm release, (name, namespace); `None`: an own object.
    pub release: Option<(&'a str, &'a str)>,
    /// Whether it is created, not updated: hooks, and objects that the plan re-creates.
    pub is_new: bool,
}

/// What the results depend on besides the objects.
#[derive(Debug, Default)]
pub struct DryRunContext {
    /// Namespaces that do not exist yet.
    pub missing: BTreeSet<String>,
    /// Namespaces with a Pod Security level that the plan sets before it applies the objects.
    pub labelled: BTreeSet<String>,
    /// Whether helm creates objects client-side, as helm 3 does.
    pub is_client_side: bool,
}

/// The result of one dry run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DryRun {
    /// The API server would store it.
    Accepted,
    /// It would not.
    Rejected(Rejection),
    /// The context lacks a permission; the words of the authorizer.
    Forbidden(String),
    /// The API server does not serve the kind.
    UnknownKind,
    /// It cannot be tried, e.g. `their webhooks allow no dry run`.
    Untested(&'static str),
}

/// The decision of the API server against an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The words of the policy, without the name of the object.
    pub words: String,
    /// The next step, if the message is known.
    pub hint: Option<String>,
    /// Who decided.
    pub by: RejectedBy,
    /// The dry run was in [`SUBSTITUTE`], because the namespace does not exist yet.
    pub is_substituted: bool,
}

/// Who rejected an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectedBy {
    /// Validation of the object itself.
    Validation,
    /// Validation of a server-side apply; helm applies client-side, which leaves the unknown field out with a warning.
    UnknownField,
    /// A policy, with the same result in every namespace.
    Policy,
    /// Admission that can depend on the namespace.
    Admission,
}

impl Cluster {
    /// Tries an object.
    pub async fn dry_run(&self, object: &DryRunObject<'_>, context: &DryRunContext) -> Result<DryRun, ClusterError> {
        let mut manifest = match object.release {
            Some(release) => self.as_of_release(&object.manifest, release).await?,
            None => object.manifest.clone(),
        };
        let namespace = manifest.pointer("/metadata/namespace").and_then(Value::as_str);
        let is_substituted = namespace.is_some_and(|namespace| context.missing.contains(namespace));
        let is_labelled = is_substituted || namespace.is_some_and(|namespace| context.labelled.contains(namespace));
        if is_substituted {
            manifest["metadata"]["namespace"] = SUBSTITUTE.into();
        }
        // An object of the same name in the substitute is a conflict, never the base of the apply.
        if object.is_new || is_substituted {
            manifest["metadata"]["resourceVersion"] = ABSENT.into();
        }
        let reference = ObjectRef::of(&manifest);
        let what = format!("cannot try {} {}", reference.kind, reference.name);
        let failed = |error| ClusterError::from_kube(&what, error);
        let Some(api) = self.api(&reference.api_version, &reference.kind, reference.namespace.as_deref()).await? else {
            return Ok(DryRun::UnknownKind);
        };
        let manager = if object.release.is_some() { "helm" } else { FIELD_MANAGER };
        let parameters = PatchParams::apply(manager).force().dry_run();
        let patch = apply_patch(&manifest).map_err(failed)?;
        let answer = match api.patch_metadata(&reference.name, &parameters, &patch).await {
            Ok(_) => return Ok(DryRun::Accepted),
            Err(kube::Error::Api(status)) if status.code != 401 => outcome(&status, is_substituted, is_labelled),
            Err(error) => return Err(failed(error)),
        };
        match answer {
            DryRun::Rejected(rejection) if rejection.by == RejectedBy::UnknownField => {
                self.unknown_field(object, &reference, rejection, context).await
            }
            DryRun::Rejected(rejection) if is_substituted && rejection.by == RejectedBy::Admission => {
                let by = self.is_policy_of_every_namespace(&rejection.words).await?;
                let by = if by { RejectedBy::Policy } else { RejectedBy::Admission };
                Ok(DryRun::Rejected(Rejection { by, ..rejection }))
            }
            answer => Ok(answer),
        }
    }

    /// An object with an unknown field. Its workload reports the field of a pod. helm continues to apply a release as its
    /// objects were applied before (helm 4, `--server-side=auto`).
    async fn unknown_field(
        &self,
        object: &DryRunObject<'_>,
        reference: &ObjectRef,
        rejection: Rejection,
        context: &DryRunContext,
    ) -> Result<DryRun, ClusterError> {
        if reference.kind == "Pod" {
            return Ok(DryRun::Accepted);
        }
        let is_client_side = match object.release {
            None => false,
            Some(_) if context.is_client_side => true,
            Some(_) if object.is_new || rejection.is_substituted => false,
            Some(_) => self.get(reference).await?.is_some_and(|live| is_applied_client_side(&live)),
        };
        let by = if is_client_side { RejectedBy::UnknownField } else { RejectedBy::Validation };
        Ok(DryRun::Rejected(Rejection { by, ..rejection }))
    }

    /// Whether the words are those of a ValidatingAdmissionPolicy that does not look at the namespace.
    async fn is_policy_of_every_namespace(&self, words: &str) -> Result<bool, ClusterError> {
        let named = |before: &str| words.split_once(before)?.1.split('\'').next().map(str::to_owned);
        let (Some(policy), Some(binding)) = (named("ValidatingAdmissionPolicy '"), named("with binding '")) else {
            return Ok(false);
        };
        let read = async |kind: &str, name: String| {
            let api_version = "admissionregistration.k8s.io/v1".to_owned();
            let read = self.get(&ObjectRef { api_version, kind: kind.to_owned(), namespace: None, name }).await;
            permitted(read).map(Option::flatten)
        };
        let policy = read("ValidatingAdmissionPolicy", policy).await?;
        let binding = read("ValidatingAdmissionPolicyBinding", binding).await?;
        Ok(policy.is_some_and(ignores_namespaces) && binding.is_some_and(ignores_namespaces))
    }
}

/// Whether helm's fields of a live object are of an update, not of an apply.
fn is_applied_client_side(live: &Value) -> bool {
    let managers = live.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    let mut of_helm = managers.filter(|entry| entry["manager"] == "helm").peekable();
    of_helm.peek().is_some() && of_helm.all(|entry| entry["operation"] == "Update")
}

/// Whether a policy or binding has no selector of namespaces and no expression that reads one.
fn ignores_namespaces(mut object: Value) -> bool {
    for place in ["/spec/matchConstraints", "/spec/matchResources"] {
        let constraints = object.pointer_mut(place).and_then(Value::as_object_mut);
        if let Some(constraints) = constraints
            && constraints.get("namespaceSelector").is_some_and(|selector| selector == &serde_json::json!({}))
        {
            constraints.remove("namespaceSelector");
        }
    }
    for validation in object.pointer_mut("/spec/validations").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(fields) = validation.as_object_mut() {
            fields.retain(|key, _| key == "expression");
        }
    }
    !object["spec"].to_string().contains("amespace")
}

/// Admission of a LimitRange of the namespace itself.
const OF_ONE_NAMESPACE: [&str; 3] = ["per Container is", "per Pod is", "per PersistentVolumeClaim is"];

/// `is_labelled`: the plan sets the Pod Security level of the object's namespace.
fn outcome(status: &Status, is_substituted: bool, is_labelled: bool) -> DryRun {
    let message = status.message.as_str();
    let has = |phrases: &[&str]| known_errors::contains_any(message, phrases);
    match status.code {
        // Ownership of fields and objects has its own check; an object that is created anew exists still.
        409 => return DryRun::Accepted,
        404 | 405 => return DryRun::Untested("in a namespace or of a kind that is missing or being deleted"),
        429 | 502 | 503 | 504 => return DryRun::Untested("the API server did not answer"),
        _ => {}
    }
    if has(&["does not support dry run"]) {
        return DryRun::Untested("their webhooks allow no dry run");
    }
    // An outage may end before the install: a diagnosis reports one that lasts.
    if has(&["failed calling webhook"]) {
        return DryRun::Untested("since their webhook did not answer");
    }
    // The check of the quotas reports it. The dry run of a pod would count the pod that it replaces, too.
    if status.code == 403 && has(&["exceeded quota", "failed quota"]) {
        return DryRun::Accepted;
    }
    // `pending-deletions` reports it.
    if has(&["because it is being terminated"]) || (is_labelled && has(&["violates PodSecurity"])) {
        return DryRun::Accepted;
    }
    if is_substituted && has(&OF_ONE_NAMESPACE) {
        return DryRun::Accepted;
    }
    let is_authorization = has(&["is forbidden: User ", "attempting to grant RBAC permissions"]);
    if status.code == 403 && is_authorization && is_substituted {
        return DryRun::Untested("this context may create them only in their own namespace");
    }
    if status.code == 403 && is_authorization {
        return DryRun::Forbidden(message.to_owned());
    }
    let is_policy = has(&["ValidatingAdmissionPolicy '", "admission webhook "]);
    let by = match status.code {
        403 => RejectedBy::Admission,
        _ if is_policy => RejectedBy::Admission,
        _ if has(&["field not declared in schema"]) => RejectedBy::UnknownField,
        _ => RejectedBy::Validation,
    };
    // The row of unknown fields is about CRDs.
    let is_known = !(by == RejectedBy::UnknownField && is_built_in(message));
    let hint = known_errors::find(API_ERRORS, message).filter(|_| is_known).map(|row| row.hint.to_owned());
    DryRun::Rejected(Rejection { words: words(message), hint, by, is_substituted })
}

/// Whether the message is about a kind of Kubernetes itself: `(default/x; apps/v1, Kind=Deployment)`.
fn is_built_in(message: &str) -> bool {
    let group = message.split_once("; ").and_then(|(_, rest)| rest.split_once(", Kind=")).map(|(version, _)| version);
    let group = group.unwrap_or_default().rsplit_once('/').map_or("", |(group, _)| group);
    !group.contains('.') || group.ends_with(".k8s.io")
}

/// Without `services "x" is forbidden: ` and `failed to create typed patch object (default/x; …): `.
fn words(message: &str) -> String {
    let starts = ["is forbidden: ", "is invalid: ", "Kind=", "admission webhook "];
    let found = starts.iter().filter_map(|start| message.find(start).map(|at| (at, *start))).min();
    let rest = match found {
        Some((at, "Kind=")) => message[at..].split_once("): ").map_or(message, |(_, rest)| rest),
        Some((at, "admission webhook ")) => &message[at..],
        Some((at, start)) => &message[at + start.len()..],
        None => message,
    };
    rest.trim_start_matches(": ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(code: u16, message: &str) -> Status {
        Status { code, message: message.into(), ..Status::default() }
    }

    #[test]
    fn answers_are_told_apart() {
        let policy = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: the namespace is managed";
        for (code, message, expected) in [
            (403, format!("services \"q\" is forbidden: {policy}"), (policy, RejectedBy::Admission)),
            (422, format!("The daemonsets \"x\" is invalid: : {policy}"), (policy, RejectedBy::Admission)),
            (
                500,
                "failed to create typed patch object (m/x; apps/v1, Kind=DaemonSet): .spec.a: expected numeric (int or \
                 float), got string"
                    .to_owned(),
                (".spec.a: expected numeric (int or float), got string", RejectedBy::Validation),
            ),
            (
                403,
                "admission webhook \"a.b\" denied the request: no".to_owned(),
                ("admission webhook \"a.b\" denied the request: no", RejectedBy::Admission),
            ),
        ] {
            let DryRun::Rejected(found) = outcome(&status(code, &message), false, false) else { panic!("{message}") };
            assert_eq!((found.words.as_str(), found.by), expected);
        }
        let quota = "pods \"x\" is forbidden: exceeded quota: q, requested: pods=1";
        assert_eq!(outcome(&status(403, quota), false, false), DryRun::Accepted, "the check of the quotas reports it");
        let outage = "Internal error occurred: failed calling webhook \"a.b\": service \"a\" not found";
        assert!(matches!(outcome(&status(500, outage), false, false), DryRun::Untested(_)));
        let user = "services is forbidden: User \"x\" cannot create resource";
        assert!(matches!(outcome(&status(403, user), false, false), DryRun::Forbidden(_)));
        assert!(matches!(outcome(&status(403, user), true, false), DryRun::Untested(_)));
        assert_eq!(outcome(&status(409, "conflict"), false, false), DryRun::Accepted);
        let webhook = "admission webhook \"a\" does not support dry run";
        assert!(matches!(outcome(&status(400, webhook), false, false), DryRun::Untested(_)));
    }

    #[test]
    fn pod_security_counts_where_the_plan_does_not_set_the_level() {
        let message = "pods \"x-pod\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces";
        assert_eq!(outcome(&status(403, message), true, true), DryRun::Accepted);
        assert_eq!(outcome(&status(403, message), false, true), DryRun::Accepted);
        let DryRun::Rejected(found) = outcome(&status(403, message), false, false) else { panic!() };
        assert_eq!(found.words, "violates PodSecurity \"baseline:latest\": host namespaces");
        assert!(found.hint.unwrap().contains("kubectl label namespace"));
    }

    #[test]
    fn an_unknown_field_of_a_kind_of_kubernetes_is_not_about_a_crd() {
        for (kind, names_the_crd) in [
            ("apps/v1, Kind=DaemonSet", false),
            ("v1, Kind=Service", false),
            ("networking.k8s.io/v1, Kind=Ingress", false),
            ("monitoring.coreos.com/v1, Kind=Prometheus", true),
        ] {
            let message =
                format!("failed to create typed patch object (m/x; {kind}): .spec.a: field not declared in schema");
            let DryRun::Rejected(found) = outcome(&status(500, &message), false, false) else { panic!("{kind}") };
            assert_eq!((found.by, found.hint.is_some()), (RejectedBy::UnknownField, names_the_crd), "{kind}");
        }
    }

    #[test]
    fn the_operation_of_helms_fields_is_how_helm_applies() {
        let live = |operations: &[&str]| {
            let entries = operations.iter().map(|operation| json!({"manager": "helm", "operation": operation}));
            let other = json!({"manager": "kubectl", "operation": "Apply"});
            json!({"metadata": {"managedFields": entries.chain([other]).collect::<Vec<_>>()}})
        };
        assert!(is_applied_client_side(&live(&["Update"])));
        assert!(!is_applied_client_side(&live(&["Apply"])) && !is_applied_client_side(&live(&["Update", "Apply"])));
        assert!(!is_applied_client_side(&live(&[])), "it is not helm's");
    }

    #[test]
    fn a_policy_that_reads_the_namespace_has_another_result_elsewhere() {
        let policy = |selector: Value, expression: &str| {
            json!({"spec": {"matchConstraints": {"namespaceSelector": selector},
                "validations": [{"expression": expression, "message": "no host namespaces"}]}})
        };
        assert!(ignores_namespaces(policy(json!({}), "!object.spec.hostNetwork")));
        assert!(!ignores_namespaces(policy(json!({"matchLabels": {"a": "b"}}), "false")));
        assert!(!ignores_namespaces(policy(json!({}), "namespaceObject.metadata.name == 'a'")));
        assert!(ignores_namespaces(json!({"spec": {"policyName": "p"}})));
    }
}

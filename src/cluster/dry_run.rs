//! Server-side dry runs of planned objects: what validation, admission policies, webhooks and LimitRanges of the API
//! server decide, before anything is written.

use std::collections::BTreeSet;

use kube::api::PatchParams;
use kube::core::Status;
use serde_json::Value;

use crate::cluster::apply::apply_patch;
use crate::cluster::own_objects::ABSENT;
use crate::cluster::{Cluster, ClusterError, FIELD_MANAGER, ObjectRef};
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
    /// A policy, with the same result in every namespace.
    Policy,
    /// Admission that can depend on the namespace.
    Admission,
}

impl Cluster {
    /// Tries an object; `missing` are namespaces that do not exist yet.
    pub async fn dry_run(&self, object: &DryRunObject<'_>, missing: &BTreeSet<String>) -> Result<DryRun, ClusterError> {
        let mut manifest = match object.release {
            Some(release) => self.as_of_release(&object.manifest, release).await?,
            None => object.manifest.clone(),
        };
        let namespace = manifest.pointer("/metadata/namespace").and_then(Value::as_str);
        let is_substituted = namespace.is_some_and(|namespace| missing.contains(namespace));
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
            Err(kube::Error::Api(status)) if status.code != 401 => outcome(&status, is_substituted),
            Err(error) => return Err(failed(error)),
        };
        match answer {
            DryRun::Rejected(rejection) if is_substituted && rejection.by == RejectedBy::Admission => {
                let by = self.is_policy_of_every_namespace(&rejection.words).await?;
                let by = if by { RejectedBy::Policy } else { RejectedBy::Admission };
                Ok(DryRun::Rejected(Rejection { by, ..rejection }))
            }
            answer => Ok(answer),
        }
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
            match read {
                Ok(object) => Ok(object),
                Err(ClusterError::Forbidden { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let policy = read("ValidatingAdmissionPolicy", policy).await?;
        let binding = read("ValidatingAdmissionPolicyBinding", binding).await?;
        Ok(policy.is_some_and(ignores_namespaces) && binding.is_some_and(ignores_namespaces))
    }
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

fn outcome(status: &Status, is_substituted: bool) -> DryRun {
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
    // The plan labels the namespaces of the stack, and `object-conflict` reports other labels.
    if has(&["violates PodSecurity", "because it is being terminated"]) {
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
        _ => RejectedBy::Validation,
    };
    let hint = known_errors::find(API_ERRORS, message).map(|row| row.hint.to_owned());
    DryRun::Rejected(Rejection { words: words(message), hint, by, is_substituted })
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
            let DryRun::Rejected(found) = outcome(&status(code, &message), false) else { panic!("{message}") };
            assert_eq!((found.words.as_str(), found.by), expected);
        }
        let quota = "pods \"x\" is forbidden: exceeded quota: q, requested: pods=1";
        assert_eq!(outcome(&status(403, quota), false), DryRun::Accepted, "the check of the quotas reports it");
        let outage = "Internal error occurred: failed calling webhook \"a.b\": service \"a\" not found";
        assert!(matches!(outcome(&status(500, outage), false), DryRun::Untested(_)));
        let user = "services is forbidden: User \"x\" cannot create resource";
        assert!(matches!(outcome(&status(403, user), false), DryRun::Forbidden(_)));
        assert!(matches!(outcome(&status(403, user), true), DryRun::Untested(_)));
        assert_eq!(outcome(&status(409, "conflict"), false), DryRun::Accepted);
        let webhook = "admission webhook \"a\" does not support dry run";
        assert!(matches!(outcome(&status(400, webhook), false), DryRun::Untested(_)));
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

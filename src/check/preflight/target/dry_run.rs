//! A server-side dry run of everything that the plan applies: what the API server would reject is known before the first
//! write. Bounded in time and requests; what is not tried is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::check::name_of;
use crate::check::preflight::target::intent::{Intent, Kinds, kind_of};
use crate::check::preflight::target::permissions::Permissions;
use crate::check::preflight::target::schema;
use crate::check::row::Finding;
use crate::cluster::{
    Cluster, ClusterError, DryRun, DryRunObject, ObjectRef, RejectedBy, Rejection, SUBSTITUTE, namespace_of,
};
use crate::config::KUBE_PROMETHEUS_STACK;
use crate::list::first_of;
use crate::plan::PlannedRelease;

/// Parallel requests.
const PARALLEL: usize = 16;
/// Objects that are tried at most; workloads first, ConfigMaps last.
const MAX_OBJECTS: usize = 600;
/// Time limit of all requests.
const TIME_LIMIT: Duration = Duration::from_secs(8);
/// Objects that a finding reports for one message.
const REPORTED: usize = 4;

/// An object to try, and how a finding names it.
pub(super) struct Trial<'a> {
    object: DryRunObject<'a>,
    name: String,
    rank: u8,
}

/// All results.
#[derive(Debug, Default)]
pub(super) struct DryRuns {
    pub(super) accepted: usize,
    /// By words: the rejection and its objects.
    pub(super) rejected: BTreeMap<String, (Rejection, Vec<String>)>,
    /// Words of the authorizer.
    pub(super) forbidden: Vec<String>,
    /// Number by reason.
    pub(super) untested: BTreeMap<&'static str, usize>,
}

pub(super) async fn read(cluster: &Cluster, intent: &Intent<'_>, kinds: &Kinds) -> Result<DryRuns, ClusterError> {
    let mut trials = trials(intent, kinds);
    let crds: Vec<&Value> = intent.incoming.iter().flat_map(|incoming| incoming.crds).collect();
    let missing = missing_namespaces(cluster, &trials).await?;
    let (count, mut found) = (trials.len(), DryRuns::default());
    trials.truncate(MAX_OBJECTS);
    let answers = futures::stream::iter(&trials)
        .map(|trial| {
            let missing = &missing;
            async move { (trial, cluster.dry_run(&trial.object, missing).await) }
        })
        .buffer_unordered(PARALLEL)
        .take_until(tokio::time::sleep(TIME_LIMIT));
    let mut answers = std::pin::pin!(answers);
    let mut tried = 0;
    while let Some((trial, answer)) = answers.next().await {
        tried += 1;
        found.add(trial, answer?, &crds);
    }
    if tried < count {
        found.untested.insert("the limit of time or requests", count - tried);
    }
    Ok(found)
}

async fn missing_namespaces(cluster: &Cluster, trials: &[Trial<'_>]) -> Result<BTreeSet<String>, ClusterError> {
    let namespaces: BTreeSet<&str> = trials.iter().map(|trial| trial.namespace()).collect();
    let mut missing = BTreeSet::new();
    for name in namespaces.into_iter().filter(|name| !name.is_empty()) {
        let namespace = ObjectRef::of_namespace(name);
        if cluster.get(&namespace).await?.is_none() {
            missing.insert(name.to_owned());
        }
    }
    Ok(missing)
}

/// Every object that the plan applies, and a pod of each workload: some policies look at pods only.
fn trials<'a>(intent: &'a Intent<'_>, kinds: &Kinds) -> Vec<Trial<'a>> {
    let mut trials = Vec::new();
    for incoming in &intent.incoming {
        let release = (incoming.release.component.as_str(), incoming.release.namespace.as_str());
        let is_recreated = |object: &Value| {
            let (kind, name) = (object["kind"].as_str().unwrap_or_default(), name_of(object));
            intent.recreated.iter().any(|recreated| recreated.kind == kind && recreated.name == name)
        };
        let mut add = |object: &Value, release: Option<(&'a str, &'a str)>, is_new: bool| {
            let mut manifest = object.clone();
            let kind = kinds.get(&kind_of(object));
            if kind.is_some_and(|kind| kind.is_namespaced) {
                manifest["metadata"]["namespace"] = incoming.namespace_of(object).into();
            }
            trials.push(Trial::of(manifest, release, is_new));
        };
        for object in incoming.crds.iter().chain(incoming.release.objects.iter().map(|own| &own.manifest)) {
            add(object, None, false);
        }
        for object in incoming.rendered {
            add(object, Some(release), is_recreated(object));
        }
        for object in incoming.hooks.iter().filter(|hook| is_of_the_change(hook)) {
            add(object, Some(release), true);
        }
        trials.extend(pods(incoming).map(|(name, pod)| {
            let object = DryRunObject { manifest: pod, release: Some(release), is_new: true };
            Trial { object, name, rank: 0 }
        }));
    }
    trials.sort_by_key(|trial| trial.rank);
    trials
}

impl<'a> Trial<'a> {
    fn of(manifest: Value, release: Option<(&'a str, &'a str)>, is_new: bool) -> Trial<'a> {
        let kind = manifest["kind"].as_str().unwrap_or_default();
        let rank = match kind {
            "ConfigMap" | "Secret" | "PrometheusRule" | "CustomResourceDefinition" => 2,
            "Deployment" | "DaemonSet" | "StatefulSet" | "Job" | "CronJob" | "Namespace" => 0,
            _ => 1,
        };
        let name = match namespace_of(&manifest, "") {
            "" => format!("{kind} {}", name_of(&manifest)),
            namespace => format!("{kind} {namespace}/{}", name_of(&manifest)),
        };
        Trial { object: DryRunObject { manifest, release, is_new }, name, rank }
    }

    fn namespace(&self) -> &str {
        namespace_of(&self.object.manifest, "")
    }
}

/// Whether an install or upgrade runs the hook.
fn is_of_the_change(hook: &Value) -> bool {
    let events = hook.pointer("/metadata/annotations/helm.sh~1hook").and_then(Value::as_str).unwrap_or_default();
    events.contains("install") && !events.contains("uninstall") || events.contains("upgrade")
}

/// A pod of each workload, without its ServiceAccount, which does not exist yet.
fn pods<'a>(incoming: &'a PlannedRelease<'_>) -> impl Iterator<Item = (String, Value)> + 'a {
    let templates = incoming.rendered.iter().filter_map(|object| {
        let kind = object["kind"].as_str().filter(|kind| ["Deployment", "DaemonSet", "StatefulSet"].contains(kind))?;
        Some((kind, object, object.pointer("/spec/template")?))
    });
    templates.map(|(kind, object, template)| {
        let (name, namespace) = (name_of(object), incoming.namespace_of(object));
        let mut pod = template.clone();
        pod["apiVersion"] = "v1".into();
        pod["kind"] = "Pod".into();
        pod["metadata"]["name"] = format!("{name}-pod").into();
        pod["metadata"]["namespace"] = namespace.into();
        if let Some(spec) = pod["spec"].as_object_mut() {
            spec.remove("serviceAccount");
            spec.insert("serviceAccountName".into(), json!("default"));
            // The StatefulSet's controller adds a volume for each claim.
            let claims = object.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array).into_iter().flatten();
            let claims = claims.map(|claim| json!({"name": name_of(claim), "emptyDir": {}}));
            if let Some(volumes) = spec.entry("volumes").or_insert_with(|| json!([])).as_array_mut() {
                volumes.extend(claims);
            }
        }
        (format!("the pods of {kind} {namespace}/{name}"), pod)
    })
}

impl DryRuns {
    fn add(&mut self, trial: &Trial<'_>, answer: DryRun, crds: &[&Value]) {
        let object = &trial.object.manifest;
        match answer {
            DryRun::Accepted => self.accepted += 1,
            DryRun::Untested(why) => *self.untested.entry(why).or_default() += 1,
            // Controllers create the pods.
            DryRun::Forbidden(_) if object["kind"] == "Pod" => {
                *self.untested.entry("pods, which this context may not create").or_default() += 1;
            }
            DryRun::Forbidden(words) => self.forbidden.push(words),
            DryRun::UnknownKind if !has_schema(crds, object) => {
                *self.untested.entry("kinds that the API server does not serve").or_default() += 1;
            }
            DryRun::UnknownKind => match schema::violation(crds, object) {
                Some(words) => {
                    let by = RejectedBy::Validation;
                    self.reject(trial, Rejection { words, hint: None, by, is_substituted: false });
                }
                None => self.accepted += 1,
            },
            // The CRD is applied first: its schema decides.
            DryRun::Rejected(rejection)
                if rejection.by == RejectedBy::Validation
                    && has_schema(crds, object)
                    && schema::violation(crds, object).is_none() =>
            {
                self.accepted += 1;
            }
            DryRun::Rejected(rejection) => self.reject(trial, rejection),
        }
    }

    /// Removes what the check of the permissions reports.
    pub(super) fn without_reported(mut self, permissions: &Permissions) -> DryRuns {
        if !permissions.are_complete() {
            self.forbidden.clear();
        }
        self
    }

    fn reject(&mut self, trial: &Trial<'_>, rejection: Rejection) {
        let (_, objects) = self.rejected.entry(rejection.words.clone()).or_insert_with(|| (rejection, Vec::new()));
        objects.push(trial.name.clone());
    }
}

/// Whether the plan applies the CRD of an object.
fn has_schema(crds: &[&Value], object: &Value) -> bool {
    let (api_version, kind) = kind_of(object);
    let group = api_version.split('/').next().unwrap_or_default();
    crds.iter().any(|crd| {
        crd.pointer("/spec/group").is_some_and(|found| found == group)
            && crd.pointer("/spec/names/kind").is_some_and(|found| *found == kind)
    })
}

/// Objects of kube-prometheus-stack that the answers can leave out: kind, end of the name, key below its values.
const SWITCHES: [(&str, &str, &str); 7] = [
    ("DaemonSet", "node-exporter", "nodeExporter.enabled"),
    ("Service", "-coredns", "coreDns.enabled"),
    ("Service", "-kube-dns", "kubeDns.enabled"),
    ("Service", "-kube-controller-manager", "kubeControllerManager.enabled"),
    ("Service", "-kube-scheduler", "kubeScheduler.enabled"),
    ("Service", "-kube-etcd", "kubeEtcd.enabled"),
    ("Service", "-kube-proxy", "kubeProxy.enabled"),
];

pub(super) fn judge(found: &DryRuns) -> Finding {
    let untested: Vec<String> = found.untested.iter().map(|(why, count)| format!("{count} ({why})")).collect();
    let untested = if untested.is_empty() { String::new() } else { format!("; not tested: {}", untested.join(", ")) };
    let total = found.accepted + found.rejected.values().map(|(_, objects)| objects.len()).sum::<usize>();
    if found.rejected.is_empty() && found.forbidden.is_empty() {
        return Finding::pass(format!("{total} objects{untested}"));
    }
    let rejected = found.rejected.values().map(|(rejection, objects)| {
        let substituted = if rejection.is_substituted && rejection.by == RejectedBy::Admission {
            format!(" (tried in namespace {SUBSTITUTE}, since the namespace does not exist yet)")
        } else {
            String::new()
        };
        format!("{}: {}{substituted}", first_of(objects, REPORTED), rejection.words)
    });
    let all: Vec<String> = rejected.chain(found.forbidden.iter().take(1).cloned()).collect();
    let detail = format!("{}{untested}", all.join("; "));
    let is_certain =
        |(rejection, _): &(Rejection, Vec<String>)| rejection.by != RejectedBy::Admission || !rejection.is_substituted;
    let finding = match found.rejected.values().any(is_certain) || !found.forbidden.is_empty() {
        true => Finding::fail(detail),
        false => Finding::warn(detail),
    };
    let hints = hints(found);
    if hints.is_empty() { finding } else { finding.hinting(hints.join("; ")) }
}

fn hints(found: &DryRuns) -> Vec<String> {
    let objects = found.rejected.values().flat_map(|(_, objects)| objects);
    let keys: BTreeSet<String> = objects
        .filter_map(|object| {
            let (_, _, key) =
                SWITCHES.iter().find(|(kind, end, _)| object.contains(&format!("{kind} ")) && object.ends_with(end))?;
            Some(format!("values.{KUBE_PROMETHEUS_STACK}.{key}: false"))
        })
        .collect();
    let known = found.rejected.values().filter_map(|(rejection, _)| rejection.hint.clone());
    let mut hints: Vec<String> = known.collect::<BTreeSet<_>>().into_iter().collect();
    if !keys.is_empty() {
        let keys: Vec<String> = keys.into_iter().collect();
        hints.push(format!("to install the stack without these objects, set {} in the answers", keys.join(", ")));
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;

    fn trial(kind: &str, name: &str) -> Trial<'static> {
        Trial::of(
            json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "m"}}),
            None,
            false,
        )
    }

    fn rejection(words: &str, by: RejectedBy, is_substituted: bool) -> DryRun {
        DryRun::Rejected(Rejection { words: words.into(), hint: None, by, is_substituted })
    }

    #[test]
    fn objects_with_the_same_rejection_are_one_finding() {
        let mut found = DryRuns::default();
        found.add(&trial("Service", "kps-coredns"), rejection("managed", RejectedBy::Admission, false), &[]);
        found.add(&trial("Service", "kps-kube-proxy"), rejection("managed", RejectedBy::Admission, false), &[]);
        found.add(&trial("ConfigMap", "a"), DryRun::Accepted, &[]);
        found.add(&trial("Probe", "a"), DryRun::UnknownKind, &[]);
        let judged = judge(&found);
        assert_eq!(judged.state, State::Fail);
        let expected = "Service m/kps-coredns, Service m/kps-kube-proxy: managed; not tested: 1 (kinds that the API \
                        server does not serve)";
        assert_eq!(judged.detail, expected);
        let hint = judged.hint.unwrap();
        assert!(hint.contains("values.kube-prometheus-stack.coreDns.enabled: false"), "{hint}");
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
        of_pods.add(&trial("Pod", "a"), DryRun::Forbidden("User x cannot".into()), &[]);
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
            Trial::of(object, None, false)
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

    #[test]
    fn hooks_of_tests_and_removals_are_left_out() {
        let hook = |events: &str| json!({"metadata": {"annotations": {"helm.sh/hook": events}}});
        assert!(is_of_the_change(&hook("pre-install,pre-upgrade")) && is_of_the_change(&hook("post-install")));
        assert!(!is_of_the_change(&hook("test")) && !is_of_the_change(&hook("pre-delete")));
    }
}

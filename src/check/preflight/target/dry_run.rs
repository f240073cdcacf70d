//! A server-side dry run of everything that the plan applies: what the API server would reject is known before the first
//! write. Bounded in time and requests; what is not tried is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::Value;

use crate::check::name_of;
use crate::check::preflight::target::answers::{self, Part};
use crate::check::preflight::target::intent::{Intent, kind_of};
use crate::check::preflight::target::namespaces::Namespaces;
use crate::check::preflight::target::permissions::Permissions;
use crate::check::preflight::target::schema;
use crate::check::preflight::target::trial::Trial;
use crate::check::row::Finding;
use crate::cluster::{Cluster, ClusterError, DryRun, DryRunContext, RejectedBy, Rejection, SUBSTITUTE};
use crate::list::first_of;
use crate::stack::ENFORCED_LEVEL;

/// Parallel requests.
const PARALLEL: usize = 16;
/// Objects that are tried at most; workloads first, ConfigMaps last.
const MAX_OBJECTS: usize = 600;
/// Time limit of all requests.
const TIME_LIMIT: Duration = Duration::from_secs(8);
/// Objects that a finding reports for one message.
const REPORTED: usize = 4;

/// All results.
#[derive(Debug, Default)]
pub(super) struct DryRuns {
    pub(super) accepted: usize,
    /// By words: the rejection and its objects by name. Sorted: the requests end in any order.
    pub(super) rejected: BTreeMap<String, (Rejection, BTreeMap<String, Part>)>,
    /// Words of the authorizer.
    pub(super) forbidden: BTreeSet<String>,
    /// Number by reason.
    pub(super) untested: BTreeMap<&'static str, usize>,
    pub(super) has_autopilot_nodes: bool,
}

pub(super) async fn read(
    cluster: &Cluster,
    intent: &Intent<'_>,
    trials: &[Trial<'_>],
    namespaces: &Namespaces,
) -> Result<DryRuns, ClusterError> {
    let crds: Vec<&Value> = intent.incoming.iter().flat_map(|incoming| incoming.crds).collect();
    let labelled = trials.iter().map(|trial| &trial.object.manifest).filter(|object| sets_pod_security(object));
    let labelled = labelled.map(|namespace| name_of(namespace).to_owned());
    let context = DryRunContext {
        labelled: labelled.collect(),
        missing: namespaces.missing(),
        is_client_side: intent.is_client_side,
    };
    let (count, mut found) = (trials.len(), DryRuns::default());
    found.has_autopilot_nodes = intent.nodes.has_autopilot();
    let answers = futures::stream::iter(trials.iter().take(MAX_OBJECTS))
        .map(|trial| {
            let context = &context;
            async move { (trial, cluster.dry_run(&trial.object, context).await) }
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

/// Whether the object is a namespace with the level that Pod Security enforces.
fn sets_pod_security(object: &Value) -> bool {
    object["kind"] == "Namespace" && object["metadata"]["labels"].get(ENFORCED_LEVEL).is_some()
}

impl DryRuns {
    fn add(&mut self, trial: &Trial<'_>, answer: DryRun, crds: &[&Value]) {
        let object = &trial.object.manifest;
        match answer {
            DryRun::Accepted => self.accepted += 1,
            DryRun::Untested(why) => *self.untested.entry(why).or_default() += 1,
            DryRun::Forbidden(_) if trial.is_of_controller => {
                *self.untested.entry("created by controllers, and this context may not create them").or_default() += 1;
            }
            DryRun::Forbidden(words) => {
                self.forbidden.insert(words);
            }
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
                if [RejectedBy::Validation, RejectedBy::UnknownField].contains(&rejection.by)
                    && has_schema(crds, object)
                    && schema::violation(crds, object).is_none() =>
            {
                self.accepted += 1;
            }
            DryRun::Rejected(rejection) => self.reject(trial, rejection),
        }
    }

    /// Whether GKE Autopilot rejected an object: by the names of its nodes, or by the words of its admission.
    fn is_autopilot(&self) -> bool {
        self.has_autopilot_nodes
            || self.rejected.keys().any(|words| words.contains("GKE Warden") || words.contains("GKEAutopilot"))
    }

    /// Removes what the check of the permissions reports.
    pub(super) fn without_reported(mut self, permissions: &Permissions) -> DryRuns {
        if !permissions.are_complete() {
            self.forbidden.clear();
        }
        self
    }

    fn reject(&mut self, trial: &Trial<'_>, rejection: Rejection) {
        let (_, objects) = self.rejected.entry(rejection.words.clone()).or_insert_with(|| (rejection, BTreeMap::new()));
        objects.insert(trial.name.clone(), trial.part.clone());
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

pub(super) fn judge(found: &DryRuns) -> Finding {
    let untested: Vec<String> = found.untested.iter().map(|(why, count)| format!("{count} ({why})")).collect();
    let untested = if untested.is_empty() { String::new() } else { format!("; not tested: {}", untested.join(", ")) };
    let total = found.accepted + found.rejected.values().map(|(_, objects)| objects.len()).sum::<usize>();
    if found.rejected.is_empty() && found.forbidden.is_empty() {
        return Finding::pass(format!("{total} objects{untested}"));
    }
    let rejected = found.rejected.values().map(|(rejection, objects)| {
        let note = match rejection.by {
            RejectedBy::Admission if rejection.is_substituted => {
                format!(" (tried in namespace {SUBSTITUTE}, since the namespace does not exist yet)")
            }
            RejectedBy::UnknownField => " (helm applies it client-side, without this field)".to_owned(),
            _ => String::new(),
        };
        format!("{}: {}{note}", first_of(objects.keys(), REPORTED), rejection.words)
    });
    let all: Vec<String> = rejected.chain(found.forbidden.iter().take(1).cloned()).collect();
    let detail = format!("{}{untested}", all.join("; "));
    let is_certain = |(rejection, _): &(Rejection, BTreeMap<String, Part>)| match rejection.by {
        RejectedBy::UnknownField => false,
        RejectedBy::Admission => !rejection.is_substituted,
        RejectedBy::Validation | RejectedBy::Policy => true,
    };
    let finding = match found.rejected.values().any(is_certain) || !found.forbidden.is_empty() {
        true => Finding::fail(detail),
        false => Finding::warn(detail),
    };
    let hints = hints(found);
    if hints.is_empty() { finding } else { finding.hinting(hints.join("; ")) }
}

fn hints(found: &DryRuns) -> Vec<String> {
    let denied = found.rejected.values().filter(|(rejection, _)| rejection.by != RejectedBy::UnknownField);
    let objects: Vec<&Part> = denied.flat_map(|(_, objects)| objects.values()).collect();
    if found.is_autopilot() {
        return vec![answers::for_autopilot(&objects)];
    }
    let known = found.rejected.values().filter_map(|(rejection, _)| rejection.hint.clone());
    known.collect::<BTreeSet<_>>().into_iter().chain(answers::without(&objects)).collect()
}

#[cfg(test)]
#[path = "dry_run_tests.rs"]
mod tests;

//! A plan as a file: `plan --out` writes it for review, `install --plan` compares its own plan with it before it
//! changes anything. Pure. The file contains no secret.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::config::Secret;
use crate::event::PlannedStep;
use crate::plan::secret_mask::Mask;
use crate::plan::{InstalledRelease, Plan, Precondition, Step};

/// Version of the format. A file of another version is rejected.
pub const FORMAT: u8 = 1;

/// Everything that an install does, and the state of the cluster that it starts from.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReviewedPlan {
    /// See [`FORMAT`].
    pub version: u8,
    /// UID of the namespace `kube-system`, or `address-` and a hash where it cannot be read.
    pub cluster: String,
    /// Namespace of the stack.
    pub namespace: String,
    /// Whether objects and releases of other owners are adopted.
    pub adopt: bool,
    /// Objects that are adopted, each with its owner.
    pub takeovers: Vec<String>,
    /// Steps with their predicted effects, in the order in which they are executed.
    pub steps: Vec<PlannedStep>,
    /// Inputs of each release's step.
    pub releases: Vec<ReviewedRelease>,
    /// Live objects that are changed or deleted.
    pub preconditions: Vec<Precondition>,
}

/// The state that a release's step starts from, and the input of helm.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReviewedRelease {
    /// Component name = release name.
    pub component: String,
    /// Current revision and status, e.g. `3 deployed`; `None`: not installed.
    pub from: Option<String>,
    /// sha256 (hex) of the chart's archive; `None`: helm does not run.
    pub chart: Option<String>,
    /// sha256 (hex) of the values without secrets, and of the own objects without the data of Secrets.
    pub values: String,
}

/// Inputs of a reviewed plan that the plan itself does not contain.
#[derive(Clone, Copy, Debug)]
pub struct Review<'a> {
    /// Identity of the cluster.
    pub cluster: &'a str,
    /// Namespace of the stack.
    pub namespace: &'a str,
    /// Whether `--adopt` was given.
    pub adopt: bool,
}

impl ReviewedPlan {
    /// The file of a plan.
    pub fn of(plan: &Plan, review: Review<'_>) -> ReviewedPlan {
        let mut takeovers: Vec<String> =
            plan.takeovers.iter().map(|takeover| format!("{} of {}", takeover.object, takeover.owner)).collect();
        takeovers.sort();
        let release = |step: &Step| ReviewedRelease {
            component: step.release.component.to_string(),
            from: step.from.as_ref().map(state),
            chart: step.rendered.as_ref().map(|rendered| rendered.chart.digest.clone()),
            values: digest_of(step),
        };
        let removed = plan.removals.iter().map(|removal| ReviewedRelease {
            component: removal.component.clone(),
            from: Some(state(&removal.from)),
            chart: None,
            values: String::new(),
        });
        ReviewedPlan {
            version: FORMAT,
            cluster: review.cluster.to_owned(),
            namespace: review.namespace.to_owned(),
            adopt: review.adopt,
            takeovers,
            steps: plan.steps(),
            releases: plan.each_step().map(release).chain(removed).collect(),
            preconditions: plan.preconditions(),
        }
    }

    /// The first difference from the current plan; `None`: equal.
    pub fn difference(&self, now: &ReviewedPlan) -> Option<String> {
        let differs = |what: &str, planned: &str, now: &str| {
            (planned != now).then(|| format!("{what} is {now}, the plan is for {planned}"))
        };
        differs("the cluster", &self.cluster, &now.cluster)
            .or_else(|| differs("the namespace", &self.namespace, &now.namespace))
            .or_else(|| self.releases_differ(now))
            .or_else(|| self.steps_differ(now))
            .or_else(|| {
                let changed = self.preconditions.iter().find(|planned| !now.preconditions.contains(planned));
                let changed = changed.or(now.preconditions.iter().find(|now| !self.preconditions.contains(now)));
                changed.map(|object| format!("{} {} changed after the plan was written", object.kind, object.name))
            })
            .or_else(|| (self.takeovers != now.takeovers).then(|| "other objects would be adopted".to_owned()))
            .or_else(|| (self != now).then(|| "it was written with other options".to_owned()))
    }

    fn releases_differ(&self, now: &ReviewedPlan) -> Option<String> {
        for planned in &self.releases {
            let component = &planned.component;
            let Some(now) = now.releases.iter().find(|now| now.component == *component) else {
                return Some(format!("{component} would be neither installed nor removed"));
            };
            let words = |from: &Option<String>| match from {
                Some(from) => format!("revision {from}"),
                None => "not installed".to_owned(),
            };
            if planned.from != now.from {
                let (planned, now) = (words(&planned.from), words(&now.from));
                return Some(format!("release {component} is at {now}, the plan is for {planned}"));
            }
            if planned.values != now.values {
                return Some(format!("the answers have other values for {component}"));
            }
            if planned.chart != now.chart {
                return Some(format!("the chart archive of {component} differs"));
            }
        }
        let added = now.releases.iter().find(|now| self.releases.iter().all(|one| one.component != now.component));
        added.map(|added| format!("{} is not in the plan", added.component))
    }

    fn steps_differ(&self, now: &ReviewedPlan) -> Option<String> {
        let differing = now.steps.iter().find(|step| !self.steps.contains(step))?;
        Some(format!("the step of {} would be: {}", differing.component, differing.reason))
    }
}

/// `3 deployed`
fn state(installed: &InstalledRelease) -> String {
    format!("{} {}", installed.revision, installed.status.words())
}

fn digest_of(step: &Step) -> String {
    let release = &step.release;
    let derived = release.derived.iter().cloned().map(Secret::new);
    let secrets: Vec<Secret<String>> = release.secrets.iter().cloned().chain(derived).collect();
    let values = Mask::of(&secrets, (&Value::Null, &release.values), &[]).apply(&release.values);
    let objects: Vec<&Value> = release.objects.iter().map(|object| &object.manifest).collect();
    format!("{:x}", Sha256::digest(json!([values, objects]).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reviewed() -> ReviewedPlan {
        serde_json::from_value(json!({
            "version": 1, "cluster": "u1", "namespace": "monitoring", "adopt": false, "takeovers": [],
            "steps": [{
                "component": "loki", "wave": 32, "namespace": "monitoring", "chart": "loki", "chartVersion": "6.55.0",
                "fromVersion": "6.46.0", "action": "upgrade", "reason": "chart 6.46.0 -> 6.55.0",
            }],
            "releases": [{"component": "loki", "from": "3 deployed", "chart": "aa", "values": "bb"}],
            "preconditions": [
                {"apiVersion": "apps/v1", "kind": "StatefulSet", "namespace": "monitoring", "name": "loki", "uid": "1"},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn every_difference_is_named_and_none_is_found_in_the_same_plan() {
        let planned = reviewed();
        let file = serde_json::to_string(&planned).unwrap();
        assert_eq!(planned.difference(&serde_json::from_str(&file).unwrap()), None);
        for (path, value, named) in [
            ("/cluster", json!("u2"), "u2"),
            ("/namespace", json!("other"), "other"),
            ("/adopt", json!(true), "options"),
            ("/takeovers", json!(["Ingress grafana"]), "would be adopted"),
            ("/releases/0/from", json!("4 deployed"), "4 deployed"),
            ("/releases/0/from", json!(null), "not installed"),
            ("/releases/0/chart", json!("cc"), "archive"),
            ("/releases/0/values", json!("cc"), "values"),
            ("/releases/0/component", json!("alloy"), "loki"),
            ("/steps/0/action", json!("repair"), "loki"),
            ("/preconditions/0/uid", json!("2"), "StatefulSet loki"),
            ("/preconditions", json!([]), "StatefulSet loki"),
        ] {
            let mut now = serde_json::to_value(&planned).unwrap();
            *now.pointer_mut(path).unwrap() = value;
            let difference = planned.difference(&serde_json::from_value(now).unwrap());
            assert!(difference.as_ref().is_some_and(|text| text.contains(named)), "{path}: {difference:?}");
        }
    }
}

//! A refusal of the API server or of helm as a diagnosis, so that it is shown like any other cause.

use crate::cluster::ClusterError;
use crate::event::{Diagnosis, Place, Severity};
use crate::helm::HelmError;
use crate::refusal::Refusal;
use crate::stack::Release;

/// What the API server refused to us; `None` when no row knows its words.
pub(super) fn of_cluster(release: &Release, error: &ClusterError) -> Option<Box<Diagnosis>> {
    error.refusal().map(|known| diagnosis(release, known))
}

/// What helm was refused; `None` when no row knows its words.
pub(super) fn of_helm(release: &Release, error: &HelmError) -> Option<Box<Diagnosis>> {
    error.refusal().map(|known| diagnosis(release, known))
}

fn diagnosis(release: &Release, (row, words): (&Refusal, &str)) -> Box<Diagnosis> {
    let place = Place {
        component: Some(release.component.to_string()),
        namespace: Some(release.namespace.clone()),
        object: format!("release {}", release.component),
        ..Place::default()
    };
    Box::new(Diagnosis {
        rule: row.id.to_owned(),
        severity: Severity::Fatal,
        cause: row.cause.to_owned(),
        place,
        evidence: words.split_whitespace().collect::<Vec<_>>().join(" "),
        since: jiff::Timestamp::now(),
        log: Vec::new(),
        hint: row.hint.to_owned(),
        docs: format!("docs/diagnosis.md#{}", row.id),
    })
}

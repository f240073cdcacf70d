//! Rows with findings that are computed before they run, for preflight.

use std::collections::BTreeMap;

use futures::future::BoxFuture;

use crate::check::row::{Finding, Row};
use crate::check::runner::{self, Selection, Subject};
use crate::event::CheckResult;

/// Group of these rows.
pub(super) const GROUP: &str = "preflight";

/// The finding of each row, by its id.
pub(super) struct Precomputed {
    namespace: String,
    selection: Selection,
    findings: BTreeMap<&'static str, Finding>,
}

impl Precomputed {
    pub(super) fn new(namespace: &str, findings: impl IntoIterator<Item = (&'static str, Finding)>) -> Precomputed {
        let findings = findings.into_iter().collect();
        Precomputed { namespace: namespace.to_owned(), selection: Selection::default(), findings }
    }

    /// The finding of a row.
    pub(super) fn finding<'a>(&'a self, id: &str) -> BoxFuture<'a, Finding> {
        let finding = self.findings.get(id).cloned();
        Box::pin(std::future::ready(finding.unwrap_or_else(|| Finding::skip("not tested"))))
    }

    /// The results, in the order of the rows.
    pub(super) async fn run(&self, rows: &'static [Row<Precomputed>]) -> Vec<CheckResult> {
        runner::run(&rows.iter().collect::<Vec<_>>(), self, None).await
    }
}

impl Subject for Precomputed {
    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn has(&self, _component: &str) -> bool {
        true
    }

    fn selection(&self) -> &Selection {
        &self.selection
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::check::preflight::{conflicts, prerequisites, target};

    fn all() -> Vec<&'static Row<Precomputed>> {
        [prerequisites::ROWS, prerequisites::RENDERED, target::ROWS, conflicts::ROWS].into_iter().flatten().collect()
    }

    #[test]
    fn ids_are_unique_and_each_row_has_a_hint() {
        let rows = all();
        let ids: BTreeSet<&str> = rows.iter().map(|row| row.id).collect();
        assert_eq!(ids.len(), rows.len());
        assert!(rows.iter().all(|row| !row.hint.is_empty() && row.group == GROUP));
    }

    #[tokio::test]
    async fn every_row_returns_the_finding_of_its_id() {
        for row in all() {
            let known = Precomputed::new("monitoring", [(row.id, Finding::pass("found"))]);
            assert_eq!((row.run)(&known).await, Finding::pass("found"), "{}", row.id);
        }
    }
}

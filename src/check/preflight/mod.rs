//! Everything that is checked before anything is changed: prerequisites, the target cluster, conflicts with existing
//! installations, and the OIDC provider.

pub mod conflicts;
pub mod oidc;
pub mod prerequisites;
mod tailscale_proxy;
pub mod target;

use crate::check::row::{Row, Run};

/// A row about facts that are read before it runs.
const fn fact<C>(id: &'static str, statement: &'static str, run: Run<C>) -> Row<C> {
    Row::new(id, "preflight", statement, run).within(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::check::texts;

    #[test]
    fn ids_are_unique_and_each_row_has_a_hint() {
        let texts = texts::before_a_change();
        let ids: BTreeSet<&str> = texts.iter().map(|text| text.id).collect();
        assert_eq!(ids.len(), texts.len());
        assert!(texts.iter().all(|text| !text.next.is_empty()));
    }
}

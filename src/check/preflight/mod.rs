//! Everything that is checked before anything is changed: prerequisites, the target cluster, conflicts with existing
//! installations, and the OIDC provider.

pub mod conflicts;
pub mod oidc;
pub mod prerequisites;
mod tailscale_proxy;
pub mod target;

use crate::check::row::{Finding, Row, Run};
use crate::cluster::ClusterError;

/// A row about facts that are read before it runs.
const fn fact<C>(id: &'static str, statement: &'static str, run: Run<C>) -> Row<C> {
    Row::new(id, "preflight", statement, run).within(0)
}

/// What a check reads; an error is the API server's refusal.
type Permitted<T> = Result<T, String>;

/// Keeps a missing permission as the reason that a check is not made.
fn unless_forbidden<T>(read: Result<T, ClusterError>) -> Result<Permitted<T>, ClusterError> {
    match read {
        Err(ClusterError::Forbidden { message }) => Ok(Err(message)),
        read => read.map(Ok),
    }
}

/// The finding about what was read, or that it is not checked.
fn judged<T>(read: &Permitted<T>, judge: impl FnOnce(&T) -> Finding) -> Finding {
    match read {
        Ok(found) => judge(found),
        Err(refusal) => Finding::skip(format!("not checked: {refusal}")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::check::row::State;
    use crate::check::texts;

    #[test]
    fn what_this_context_may_not_read_is_not_checked() {
        let read: Result<(), ClusterError> = Err(ClusterError::Forbidden { message: "cannot list x".into() });
        let finding = judged(&unless_forbidden(read).unwrap(), |()| Finding::fail(""));
        assert_eq!((finding.state, finding.detail.as_str()), (State::Skip, "not checked: cannot list x"));
        let read: Result<(), ClusterError> = Err(ClusterError::Rejected { what: "x".into(), message: "y".into() });
        assert!(unless_forbidden(read).is_err());
    }

    #[test]
    fn ids_are_unique_and_each_row_has_a_hint() {
        let texts = texts::before_a_change();
        let ids: BTreeSet<&str> = texts.iter().map(|text| text.id).collect();
        assert_eq!(ids.len(), texts.len());
        assert!(texts.iter().all(|text| !text.next.is_empty()));
    }
}

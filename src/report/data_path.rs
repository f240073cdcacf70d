//! The state of each hop of the data path, from the check results.

use crate::event::{CheckResult, Hop, Verdict};

/// State of a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HopState {
    /// A check of it passed and none failed.
    Proven,
    /// A check of it failed.
    Broken,
    /// It has checks, but none passed or failed.
    Unproven,
    /// It has no check.
    NotTested,
}

impl HopState {
    pub(super) fn label(self) -> &'static str {
        match self {
            HopState::Proven => "works",
            HopState::Broken => "broken",
            HopState::Unproven => "unproven",
            HopState::NotTested => "not tested",
        }
    }
}

/// Every hop's state, in the order of [`Hop::ALL`].
pub(super) fn states(checks: &[CheckResult]) -> [(Hop, HopState); Hop::ALL.len()] {
    Hop::ALL.map(|hop| (hop, state(hop, checks)))
}

fn state(hop: Hop, checks: &[CheckResult]) -> HopState {
    let verdicts = || checks.iter().filter(|check| check.hop == Some(hop)).map(|check| check.verdict);
    if verdicts().any(|verdict| verdict == Verdict::Fail) {
        HopState::Broken
    } else if verdicts().any(|verdict| verdict == Verdict::Pass) {
        HopState::Proven
    } else if verdicts().next().is_some() {
        HopState::Unproven
    } else {
        HopState::NotTested
    }
}

/// Whether any check has a hop.
pub(super) fn is_tested(checks: &[CheckResult]) -> bool {
    checks.iter().any(|check| check.hop.is_some())
}

/// The broken hops.
pub(super) fn broken(checks: &[CheckResult]) -> Vec<Hop> {
    states(checks).into_iter().filter(|(_, state)| *state == HopState::Broken).map(|(hop, _)| hop).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::checks_table::tests::check;

    fn of(verdicts: &[Verdict]) -> HopState {
        let mut checks: Vec<CheckResult> = verdicts.iter().map(|verdict| check("a", "logs", *verdict)).collect();
        checks.iter_mut().for_each(|check| check.hop = Some(Hop::AlloyLoki));
        let mut other = check("b", "logs", Verdict::Fail);
        other.hop = Some(Hop::PodsAlloy);
        checks.extend([other, check("c", "logs", Verdict::Fail)]);
        let states = states(&checks);
        assert_eq!(states[0], (Hop::PodsAlloy, HopState::Broken));
        states.into_iter().find(|(hop, _)| *hop == Hop::AlloyLoki).unwrap().1
    }

    #[test]
    fn the_state_of_a_hop_comes_from_its_own_checks() {
        use Verdict::{Fail, Pass, Skip, Warn};
        for (verdicts, expected) in [
            (&[][..], HopState::NotTested),
            (&[Skip], HopState::Unproven),
            (&[Warn, Skip], HopState::Unproven),
            (&[Skip, Pass], HopState::Proven),
            (&[Pass, Warn], HopState::Proven),
            (&[Pass, Fail, Skip], HopState::Broken),
        ] {
            assert_eq!(of(verdicts), expected, "{verdicts:?}");
        }
    }

    #[test]
    fn every_hop_connects_two_parts() {
        for (at, hop) in Hop::ALL.into_iter().enumerate() {
            let (from, to) = hop.ends();
            assert_eq!(hop.title(), format!("{from} → {to}"));
            assert!(Hop::ALL[..at].iter().all(|other| other.ends() != (from, to)), "{hop:?}");
            assert!(serde_json::to_string(&hop).unwrap().contains('-'), "{hop:?}");
        }
    }
}

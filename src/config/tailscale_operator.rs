//! When the Tailscale operator is part of the stack: the one rule that the questions, the preflight and the plan follow.

use crate::config::OperatorMode;

/// What the cluster has of the Tailscale operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TailscaleOperator {
    /// It has the IngressClass `tailscale`.
    pub has_class: bool,
    /// Its operator was installed by tailwatch.
    pub is_ours: bool,
}

/// What an install does about the Tailscale operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorPlan {
    /// It installs it, or keeps its own up to date.
    Install,
    /// Another one serves the IngressClass `tailscale`.
    Use,
    /// None is installed, and none is to be.
    Missing,
}

impl OperatorMode {
    /// What an install does in a cluster that has this.
    pub fn plan(self, found: TailscaleOperator) -> OperatorPlan {
        match (self, found.has_class) {
            (OperatorMode::Install, _) | (OperatorMode::Auto, false) => OperatorPlan::Install,
            (OperatorMode::Auto, true) if found.is_ours => OperatorPlan::Install,
            (OperatorMode::Auto | OperatorMode::Present, true) => OperatorPlan::Use,
            (OperatorMode::Present, false) => OperatorPlan::Missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_is_installed_by_one_rule() {
        use OperatorMode::{Auto, Install, Present};
        for (mode, has_class, is_ours, expected) in [
            (Auto, false, false, OperatorPlan::Install),
            (Auto, false, true, OperatorPlan::Install),
            (Auto, true, false, OperatorPlan::Use),
            (Auto, true, true, OperatorPlan::Install),
            (Install, false, false, OperatorPlan::Install),
            (Install, true, false, OperatorPlan::Install),
            (Install, true, true, OperatorPlan::Install),
            (Present, false, false, OperatorPlan::Missing),
            (Present, true, false, OperatorPlan::Use),
            (Present, true, true, OperatorPlan::Use),
        ] {
            assert_eq!(mode.plan(TailscaleOperator { has_class, is_ours }), expected, "{mode:?} {has_class} {is_ours}");
        }
    }
}

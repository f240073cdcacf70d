//! Whether the Tailscale operator is part of the stack; one rule for the prompts, the preflight and the plan.

use crate::config::OperatorMode;

/// The Tailscale operator in the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TailscaleOperator {
    /// Whether the IngressClass `tailscale` exists.
    pub has_class: bool,
    /// Whether tailwatch installed the operator.
    pub is_ours: bool,
}

/// What an install does with the Tailscale operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorPlan {
    /// Install it, or upgrade our release.
    Install,
    /// Another one serves the IngressClass `tailscale`.
    Use,
    /// None is installed, and none will be.
    Missing,
}

impl OperatorMode {
    /// The plan of an install for this cluster.
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

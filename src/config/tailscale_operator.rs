//! Whether the Tailscale operator is part of the stack; one rule for the prompts, the preflight and the plan.

use crate::config::OperatorMode;

/// The Tailscale operator in the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TailscaleOperator {
    /// Whether an IngressClass of an operator exists.
    pub has_class: bool,
    /// Whether tailwatch installed the operator.
    pub is_ours: bool,
}

/// Name of the operator's IngressClass by its chart.
pub const INGRESS_CLASS: &str = "tailscale";

/// The IngressClass of Grafana's Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IngressClass {
    /// The answered one, the only one of an operator, or [`INGRESS_CLASS`].
    Chosen(String),
    /// The answered one does not exist; with those of the operators.
    Missing(String, Vec<String>),
    /// Several of operators, none of them with the usual name; never empty.
    Ambiguous(Vec<String>),
}

impl IngressClass {
    /// The class by the answer `tailscale.ingressClass` and the operators' classes in the cluster.
    pub fn choose(answered: Option<&str>, existing: &[String]) -> IngressClass {
        match (answered, existing) {
            (Some(name), _) if existing.iter().any(|one| one == name) => IngressClass::Chosen(name.to_owned()),
            // An operator that will be installed creates it.
            (Some(INGRESS_CLASS), _) | (None, []) => IngressClass::Chosen(INGRESS_CLASS.to_owned()),
            (Some(name), _) => IngressClass::Missing(name.to_owned(), existing.to_vec()),
            (None, [only]) => IngressClass::Chosen(only.clone()),
            (None, several) if several.iter().any(|one| one == INGRESS_CLASS) => {
                IngressClass::Chosen(INGRESS_CLASS.to_owned())
            }
            (None, several) => IngressClass::Ambiguous(several.to_vec()),
        }
    }

    /// Its name; that of an operator's chart where it is not known.
    pub fn name(&self) -> &str {
        match self {
            IngressClass::Chosen(name) | IngressClass::Missing(name, _) => name,
            IngressClass::Ambiguous(_) => INGRESS_CLASS,
        }
    }
}

/// What an install does with the Tailscale operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorPlan {
    /// Install it, or upgrade our release.
    Install,
    /// Another one serves the IngressClass.
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
    fn the_class_is_found_by_the_answer_the_number_and_the_usual_name() {
        let chosen = |name: &str| IngressClass::Chosen(name.into());
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (answered, existing, expected) in [
            (None, names(&[]), chosen("tailscale")),
            (None, names(&["ts-prod"]), chosen("ts-prod")),
            (None, names(&["tailscale", "ts-prod"]), chosen("tailscale")),
            (None, names(&["ts-dev", "ts-prod"]), IngressClass::Ambiguous(names(&["ts-dev", "ts-prod"]))),
            (Some("ts-prod"), names(&["ts-dev", "ts-prod"]), chosen("ts-prod")),
            (Some("ts-x"), names(&["ts-dev"]), IngressClass::Missing("ts-x".into(), names(&["ts-dev"]))),
            (Some("tailscale"), names(&[]), chosen("tailscale")),
        ] {
            assert_eq!(IngressClass::choose(answered, &existing), expected);
        }
    }

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

//! The parsers of input that others write: files, programs, repositories, the API server and its clients, identity
//! providers. Only tests and the targets of `fuzz/` have this module.

use crate::plan::ReviewedPlan;
use crate::{check, cluster, config, engine, helm, yaml};

/// A parser returns, whatever the bytes are.
pub type Parse = fn(&[u8]);

/// Parsers of modules without a list of their own.
const PARSERS: &[(&str, Parse)] = &[
    ("reviewed-plan", |bytes| drop(serde_json::from_slice::<ReviewedPlan>(bytes).map(|plan| plan.difference(&plan)))),
    ("yaml", |bytes| drop(std::str::from_utf8(bytes).map(yaml::documents))),
];

/// Name and parser of each input.
pub fn parsers() -> impl Iterator<Item = (&'static str, Parse)> {
    let lists = [
        PARSERS,
        check::fuzzing::PARSERS,
        cluster::fuzzing::PARSERS,
        config::fuzzing::PARSERS,
        engine::fuzzing::PARSERS,
        helm::fuzzing::PARSERS,
    ];
    lists.into_iter().flatten().copied()
}

#[cfg(test)]
mod mutations;
#[cfg(test)]
mod tests;

//! Tailwatch: a guided installer that gives a Kubernetes cluster on a tailnet its observability stack.
//!
//! Data flows in one direction:
//!
//! ```text
//! argv, answers file, env, prompts           -> Settings   (validated; secrets are a type)
//! Settings + Catalogue (values/*.yaml, data) -> Desired    (per release: chart, values, own objects)
//! Cluster + helm history                     -> Observed   (releases, owners, workloads, pending operations)
//! Desired x Observed                         -> Plan       (waves of steps with reasons)
//! Plan                                       -> Engine -> Events -> Reporter (bars | lines | json)
//! installed stack                            -> Checks -> Events -> Report, exit code
//! ```
//!
//! The confirmed plan is the executed plan. The cluster is the only source of what is installed. The verification
//! decides the exit code.

#[cfg(any(test, feature = "benchmarks"))]
pub mod benchmarks;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod config;
pub mod engine;
pub mod error;
pub mod event;
pub mod exit_code;
mod explanations;
pub mod export;
mod foreign_text;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod helm;
pub mod input_file;
pub mod known_errors;
mod list;
pub mod plan;
pub mod process;
pub mod proxy;
pub mod redaction;
pub mod report;
pub mod session;
pub mod stack;
mod terminal;
pub mod trust;
pub mod wizard;
mod workflow;
pub mod write_record;
pub mod yaml;

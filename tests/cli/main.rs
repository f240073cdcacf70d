//! What the program does where no cluster is needed: the real binary on a machine that has nothing but what a test
//! puts on it.

// What surrounds a test fails it by panicking, as the test itself does.
#![allow(missing_docs, clippy::unwrap_used)]

mod answers;
mod answers_invalid;
mod answers_valid;
mod api_server;
mod child_environment;
mod docs;
mod exit_codes;
mod helm_child;
mod helm_fetch;
mod helm_versions;
mod host;
mod ids;
mod input_files;
mod interruption;
mod json_events;
mod kubeconfig_snapshot;
mod output;
mod packaging;
mod replay;
mod report_files;

//! What the program does where no cluster is needed: the real binary on a machine that has nothing but what a test
//! puts on it.

// What surrounds a test fails it by panicking, as the test itself does.
#![allow(missing_docs, clippy::unwrap_used)]

mod answers;
mod answers_rows;
mod children;
mod good_answers;
mod helm_child;
mod helm_fetch;
mod helm_versions;
mod inputs;
mod interruption;
mod machine;
mod one_cluster;
mod refusals;
mod reports;
mod run_events;
mod server;
mod talk;

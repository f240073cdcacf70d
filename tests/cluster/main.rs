//! The suites that decide: the real binary, a real helm, a real API server.

#![allow(missing_docs, clippy::unwrap_used, clippy::zombie_processes)]

mod adoption;
mod broken_worlds;
mod browser;
mod causes;
mod changes;
mod charts;
mod exec_plugins;
mod faulty_worlds;
mod gateways;
mod generated_values;
mod ground;
mod identity;
mod ignored_values;
mod interruption;
mod inventory;
mod killed_verification;
mod kubeconfigs;
mod lifecycle;
mod main_job;
mod one_cluster;
mod own_objects;
mod recording_issuer;
mod refusals;
mod reviewed_plan;
mod sandboxes;
mod saved_state;
mod secrets;
mod sign_in;
mod stopped_api_server;
mod support;
mod switched_tunnel;
mod true_words;
mod uninstall;
mod upgrades;
mod values;
mod wizard;

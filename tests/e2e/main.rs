//! The suites that decide: the real binary, a real helm, a real API server.

#![allow(missing_docs, clippy::unwrap_used, clippy::zombie_processes)]

mod air_gap;
mod alert_receiver;
mod api_server_stopped;
mod browser;
mod chart_values;
mod charts;
mod confined_helm;
mod diagnosis;
mod drift_and_rollback;
mod examples;
mod exec_plugins;
mod export;
mod foreign_objects;
mod gateway;
mod generated_values;
mod ignored_values;
mod install;
mod interruption;
mod inventory;
mod kubeconfig_snapshot;
mod kubeconfigs;
mod least_privilege;
mod loki_data;
mod nodes;
mod permissions;
mod preflight;
mod preflight_conflicts;
mod preflight_oidc;
mod preflight_target;
mod private_repository;
mod recording_issuer;
mod rerun;
mod reviewed_plan;
mod run_outcome;
mod sandbox;
mod saved_state;
mod secrets;
mod self_monitoring;
mod sign_in;
mod switched_tunnel;
mod tailscale_proxies;
mod uninstall;
mod upgrades;
mod verify_backends;
mod verify_cleanup;
mod verify_objects;
mod wizard;

/// The message of a command that finds no stack.
fn nothing_installed() -> String {
    tailwatch::plan::PlanError::NothingInstalled { namespace: "monitoring".into() }.to_string()
}

/// The verdicts of a stack without a problem: of every check that runs without being selected.
fn every_check_passes() -> std::collections::BTreeMap<String, String> {
    let ids = tailwatch::check::verify::ids().into_iter().filter(|id| *id != "alert-delivered");
    ids.map(|id| (id.to_owned(), "pass".to_owned())).collect()
}

/// The program under test.
const TAILWATCH: &str = env!("CARGO_BIN_EXE_tailwatch");

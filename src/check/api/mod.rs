//! Typed calls of the HTTP APIs of the stack's components. Every field has a default: an API may omit it.

pub(super) mod alertmanager;
pub(super) mod alloy;
pub(super) mod grafana;
pub(super) mod loki;
pub(super) mod port_forward;
pub(super) mod prometheus;

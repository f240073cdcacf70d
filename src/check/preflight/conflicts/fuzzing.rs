//! The parsers of this module for fuzzing.

use serde_json::json;

use crate::check::preflight::conflicts::data_sources::defaults;

/// A file in a ConfigMap of any namespace.
pub(in crate::check) fn data_sources(bytes: &[u8]) {
    drop(defaults(&json!({"kind": "ConfigMap", "data": {"file": String::from_utf8_lossy(bytes)}})));
}

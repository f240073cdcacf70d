//! Objects that tailwatch applies itself.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::Secret;

/// A Secret's data, decoded.
pub type SecretData = BTreeMap<String, Secret<Vec<u8>>>;

/// An own object, applied server-side with tailwatch's field manager.
#[derive(Clone)]
pub struct OwnObject {
    /// The object as JSON, without secret data.
    pub manifest: Value,
    /// For Secrets: data that is added at apply time, key -> bytes.
    pub secret_data: SecretData,
}

impl std::fmt::Debug for OwnObject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("OwnObject")
            .field("kind", &self.manifest["kind"])
            .field("name", &self.manifest["metadata"]["name"])
            .finish()
    }
}

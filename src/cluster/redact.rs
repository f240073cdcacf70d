//! Keeps secrets out of what a log is quoted for: the known values, as they are and in base64.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use crate::config::Secret;
use crate::stack::SecretData;

/// A value shorter than this is no secret worth the name, and would blank out ordinary words.
const SHORTEST: usize = 8;

/// Values that must not be shown.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    values: Vec<Secret<String>>,
}

impl Redaction {
    /// Of the data of some Secrets.
    pub fn of<'a>(secrets: impl Iterator<Item = &'a SecretData>) -> Redaction {
        let mut values = Vec::new();
        for value in secrets.flat_map(|data| data.values()) {
            let bytes = value.expose();
            if bytes.len() >= SHORTEST {
                values.push(Secret::new(STANDARD.encode(bytes)));
                values.push(Secret::new(URL_SAFE.encode(bytes)));
                values.extend(std::str::from_utf8(bytes).ok().map(|text| Secret::new(text.trim().to_owned())));
            }
        }
        Redaction { values }
    }

    /// And of other texts, as a whole and line by line.
    pub fn and<'a>(mut self, secrets: impl Iterator<Item = &'a Secret<String>>) -> Redaction {
        for secret in secrets.map(Secret::expose) {
            let parts = std::iter::once(secret.trim()).chain(secret.lines().map(str::trim));
            let long = parts.filter(|part| part.len() >= SHORTEST);
            self.values.extend(long.map(|part| Secret::new(part.to_owned())));
            self.values.push(Secret::new(STANDARD.encode(secret)));
        }
        self.values.retain(|value| !value.expose().is_empty());
        self
    }

    /// The text without them.
    pub(super) fn apply(&self, text: &str) -> String {
        let blank = |text: String, value: &Secret<String>| text.replace(value.expose().as_str(), "***");
        self.values.iter().fold(text.to_owned(), blank)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_secret_is_blanked_out_in_every_form() {
        let data: SecretData = BTreeMap::from([
            ("client-secret".to_owned(), Secret::new(b"canary-0123".to_vec())),
            ("short".to_owned(), Secret::new(b"on".to_vec())),
        ]);
        let redaction = Redaction::of(std::iter::once(&data));
        let text = format!("secret=canary-0123 {} on", STANDARD.encode("canary-0123"));
        assert_eq!(redaction.apply(&text), "secret=*** *** on");
    }
}

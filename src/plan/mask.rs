//! Keeps secrets of chart values out of differences: those that the answers read from elsewhere, wherever helm renders
//! them, and texts that look like secrets by their key. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::{Secret, is_secret_text};

/// A shorter text is hidden only where it is a whole value.
const SHORTEST: usize = 8;
const HIDDEN: &str = "(hidden)";
const ANOTHER: &str = "(hidden, another)";

/// Texts that are not shown, each with the word in its place.
pub(super) struct Mask {
    words: BTreeMap<String, &'static str>,
}

impl Mask {
    /// Of the secrets that the answers read, and the values that stand and that are wanted; what only stands gets another word, so that a change is seen.
    pub(super) fn of(secrets: &[Secret<String>], standing: &Value, wanted: &Value) -> Mask {
        let mut mask = Mask { words: BTreeMap::new() };
        for secret in secrets {
            mask.words.insert(secret.expose().clone(), HIDDEN);
        }
        mask.collect(&mut Vec::new(), Some(standing), Some(wanted));
        mask
    }

    fn collect(&mut self, path: &mut Vec<String>, old: Option<&Value>, new: Option<&Value>) {
        let keys: Vec<String> = [old, new].into_iter().flatten().flat_map(keys).collect();
        for key in keys {
            let (old, new) = (old.and_then(|old| child(old, &key)), new.and_then(|new| child(new, &key)));
            path.push(key);
            self.collect(path, old, new);
            path.pop();
        }
        let is_reference = new.and_then(Value::as_str).is_some_and(|text| self.words.contains_key(text));
        for (value, word) in [(new, HIDDEN), (old, ANOTHER)] {
            let Some(text) = value.filter(|value| is_reference || is_secret_text(path, value)) else { continue };
            if let Some(text) = text.as_str().filter(|text| !text.is_empty()) {
                self.words.entry(text.to_owned()).or_insert(word);
            }
        }
    }

    /// The value without them.
    pub(super) fn apply(&self, value: &Value) -> Value {
        match value {
            Value::Object(map) => map.iter().map(|(key, child)| (key.clone(), self.apply(child))).collect(),
            Value::Array(items) => items.iter().map(|item| self.apply(item)).collect(),
            Value::String(text) => self.text(text).into(),
            other => other.clone(),
        }
    }

    fn text(&self, text: &str) -> String {
        if let Some(word) = self.words.get(text) {
            return (*word).to_owned();
        }
        let mut shown = text.to_owned();
        for (secret, word) in &self.words {
            // A template may have indented the lines.
            for part in std::iter::once(secret.as_str()).chain(secret.lines().map(str::trim)) {
                if part.len() >= SHORTEST {
                    shown = shown.replace(part, word);
                }
            }
        }
        shown
    }
}

fn keys(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => map.keys().cloned().collect(),
        Value::Array(items) => (0..items.len()).map(|index| index.to_string()).collect(),
        _ => Vec::new(),
    }
}

fn child<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_hidden_before_and_after_they_change_and_wherever_they_are_rendered() {
        let secrets =
            [Secret::new("https://new.example/hook".to_owned()), Secret::new("line one\nline two".to_owned())];
        let standing = json!({"a": [{"link": "https://old.example/hook"}], "password": "old", "plain": "x"});
        let wanted = json!({"a": [{"link": "https://new.example/hook"}], "password": "new", "key": "line one\nline two", "plain": "y"});
        let mask = Mask::of(&secrets, &standing, &wanted);
        assert_eq!(mask.apply(&standing), json!({"a": [{"link": ANOTHER}], "password": ANOTHER, "plain": "x"}),);
        assert_eq!(
            mask.apply(&wanted),
            json!({"a": [{"link": HIDDEN}], "password": HIDDEN, "key": HIDDEN, "plain": "y"}),
        );
        let rendered = json!({"data": {"c": "url: https://new.example/hook\nkey: |\n  line one\n  line two\nold: https://old.example/hook"}});
        let shown = mask.apply(&rendered).to_string();
        assert!(
            !shown.contains("example/hook") && !shown.contains("line one") && !shown.contains("line two"),
            "{shown}"
        );
    }
}

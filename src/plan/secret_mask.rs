//! Masks secrets in differences: values that the answers read from a secret source, wherever helm renders them, and
//! texts with a key that denotes a secret. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::config::{Secret, child, secret_texts};
use crate::redaction::forms;

/// A shorter text is masked only where it is a whole value.
const SHORTEST: usize = 8;
const HIDDEN: &str = "(hidden)";
const ANOTHER: &str = "(hidden, another)";

/// Texts to mask, each with its replacement.
pub(super) struct Mask {
    words: BTreeMap<String, &'static str>,
    /// Every encoding of them, the longest first: one can be part of another.
    forms: Vec<(String, &'static str)>,
    places: BTreeSet<Vec<String>>,
}

impl Mask {
    /// Built from the secrets of the answers and from the installed and the desired values. A text that only the
    /// installed values have gets another replacement, which shows the change. `places` are paths with a secret now or
    /// in the last run.
    pub(super) fn of(
        secrets: &[Secret<String>],
        (installed, desired): (&Value, &Value),
        places: &[Vec<String>],
    ) -> Mask {
        let looking = [installed, desired].into_iter().flat_map(secret_texts);
        let places = places.iter().cloned().chain(looking).collect();
        let mut mask = Mask { words: BTreeMap::new(), forms: Vec::new(), places };
        for secret in secrets {
            mask.words.insert(secret.expose().clone(), HIDDEN);
        }
        mask.collect(&mut Vec::new(), Some(installed), Some(desired));
        let forms = mask.words.iter().flat_map(|(secret, word)| {
            let lines = secret.lines().map(str::trim).filter(|line| line.len() >= SHORTEST).map(str::to_owned);
            forms(secret).into_iter().chain(lines).map(|form| (form, *word))
        });
        mask.forms = forms.collect();
        mask.forms.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
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
        let is_known = is_reference || self.is_place(path);
        for (value, word) in [(new, HIDDEN), (old, ANOTHER)] {
            let Some(value) = value.filter(|_| is_known) else { continue };
            if let Some(text) = scalar(value).filter(|text| !text.is_empty()) {
                self.words.entry(text).or_insert(word);
            }
        }
    }

    /// Whether the path is a secret's place, or below one that became a mapping.
    fn is_place(&self, path: &[String]) -> bool {
        (1..=path.len()).any(|length| self.places.contains(&path[..length]))
    }

    /// Chart values, masked.
    pub(super) fn values(&self, values: &Value) -> Value {
        self.at(&mut Vec::new(), values)
    }

    fn at(&self, path: &mut Vec<String>, value: &Value) -> Value {
        let mut below = |key: String, child: &Value| {
            path.push(key);
            let shown = self.at(path, child);
            path.pop();
            shown
        };
        match value {
            Value::Object(map) => map.iter().map(|(key, child)| (key.clone(), below(key.clone(), child))).collect(),
            Value::Array(items) => {
                items.iter().enumerate().map(|(index, item)| below(index.to_string(), item)).collect()
            }
            leaf => match scalar(leaf).filter(|text| !text.is_empty() && self.is_place(path)) {
                Some(text) => self.words.get(&text).copied().unwrap_or(HIDDEN).into(),
                None => self.apply(leaf),
            },
        }
    }

    /// An object, masked.
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
        let shown = self.forms.iter().filter(|(form, _)| text.contains(form.as_str()));
        shown.fold(text.to_owned(), |shown, (form, word)| shown.replace(form.as_str(), word))
    }
}

/// A text or a number, as a template renders it.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn keys(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => map.keys().cloned().collect(),
        Value::Array(items) => (0..items.len()).map(|index| index.to_string()).collect(),
        _ => Vec::new(),
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
        let installed = json!({"a": [{"link": "https://old.example/hook"}], "password": "old", "plain": "x"});
        let desired = json!({"a": [{"link": "https://new.example/hook"}], "password": "new", "key": "line one\nline two", "plain": "y"});
        let mask = Mask::of(&secrets, (&installed, &desired), &[]);
        assert_eq!(mask.values(&installed), json!({"a": [{"link": ANOTHER}], "password": ANOTHER, "plain": "x"}),);
        assert_eq!(
            mask.values(&desired),
            json!({"a": [{"link": HIDDEN}], "password": HIDDEN, "key": HIDDEN, "plain": "y"}),
        );
        let rendered = json!({"data": {"c": "url: https://new.example/hook\nkey: |\n  line one\n  line two\nold: https://old.example/hook"}});
        let shown = mask.apply(&rendered).to_string();
        assert!(
            !shown.contains("example/hook") && !shown.contains("line one") && !shown.contains("line two"),
            "{shown}"
        );
    }

    #[test]
    fn a_value_is_hidden_where_a_secret_was_or_is_and_wherever_it_is_rendered() {
        let place = |path: &[&str]| path.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        let places = [place(&["a", "0", "link"]), place(&["pin"]), place(&["gone"]), place(&["grown"])];
        let installed = json!({"a": [{"link": "plain-words"}], "pin": 4711, "gone": "was-once", "grown": "small-one"});
        let desired =
            json!({"a": [{"link": "plain-words-2"}], "pin": 4712, "grown": {"x": "below-it"}, "replicas": 4711});
        let mask = Mask::of(&[], (&installed, &desired), &places);
        let another = json!({"a": [{"link": ANOTHER}], "pin": ANOTHER, "gone": ANOTHER, "grown": ANOTHER});
        assert_eq!(mask.values(&installed), another);
        let hidden = json!({"a": [{"link": HIDDEN}], "pin": HIDDEN, "grown": {"x": HIDDEN}, "replicas": 4711});
        assert_eq!(mask.values(&desired), hidden);
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "x: plain-words-2\n");
        let rendered =
            json!({"data": {"a": "l: plain-words-2", "b": "was-once", "c": encoded, "d": "below-it was-once"}});
        let shown = mask.apply(&rendered).to_string();
        for text in ["plain", "-2", "was-once", "below-it", &encoded] {
            assert!(!shown.contains(text), "{text} is in {shown}");
        }
    }
}

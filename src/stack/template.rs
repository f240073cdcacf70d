//! Typed placeholders, filled on the parsed document. A scalar that is `${name}` as a whole takes the typed value;
//! inside a longer text it is interpolated; `${name?}` as a whole removes its key when the value is absent;
//! `$${` is a literal `${`. Anything else after `$` (Alloy's `$1`) is left alone.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::stack::StackError;

/// Values by placeholder name; `Null` is absent.
pub(super) type Fillings = BTreeMap<&'static str, Value>;

/// Fills every placeholder of a parsed file.
pub(super) fn fill(file: &str, document: &Value, fillings: &Fillings) -> Result<Value, StackError> {
    Filler { file, fillings }.value(document, "").map(|value| value.unwrap_or(Value::Null))
}

struct Filler<'a> {
    file: &'a str,
    fillings: &'a Fillings,
}

impl Filler<'_> {
    /// `None`: the value is optional and absent, its key is removed.
    fn value(&self, value: &Value, key: &str) -> Result<Option<Value>, StackError> {
        Ok(Some(match value {
            Value::Object(map) => {
                let mut filled = serde_json::Map::new();
                for (name, child) in map {
                    let path = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    if let Some(child) = self.value(child, &path)? {
                        filled.insert(name.clone(), child);
                    }
                }
                Value::Object(filled)
            }
            Value::Array(items) => {
                let mut filled = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    filled.extend(self.value(item, &format!("{key}[{index}]"))?);
                }
                Value::Array(filled)
            }
            Value::String(text) => return self.text(text, key),
            other => other.clone(),
        }))
    }

    fn text(&self, text: &str, key: &str) -> Result<Option<Value>, StackError> {
        if let Some((name, optional)) = whole(text) {
            let value = self.lookup(name, key)?;
            return match (value, optional) {
                (Value::Null, true) => Ok(None),
                (Value::Null, false) => Err(self.not_text(name, key)),
                (value, _) => Ok(Some(value.clone())),
            };
        }
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, after) = rest.split_at(at);
            if let Some(literal) = before.strip_suffix('$') {
                filled.push_str(literal);
                filled.push_str("${");
                rest = &after[2..];
                continue;
            }
            filled.push_str(before);
            let Some((name, tail)) = after[2..].split_once('}') else {
                return Err(self.unknown(&after[2..], key));
            };
            match self.lookup(name, key)? {
                Value::String(value) => filled.push_str(value),
                Value::Number(value) => filled.push_str(&value.to_string()),
                _ => return Err(self.not_text(name, key)),
            }
            rest = tail;
        }
        filled.push_str(rest);
        Ok(Some(Value::String(filled)))
    }

    fn lookup(&self, name: &str, key: &str) -> Result<&Value, StackError> {
        self.fillings.get(name).ok_or_else(|| self.unknown(name, key))
    }

    fn unknown(&self, name: &str, key: &str) -> StackError {
        let near = self.fillings.keys().map(|known| (strsim::jaro_winkler(known, name), *known));
        let best = near.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
        StackError::UnknownPlaceholder {
            file: self.file.into(),
            key: key.into(),
            name: name.into(),
            suggestion: best.map(|(_, known)| known.to_owned()),
        }
    }

    fn not_text(&self, name: &str, key: &str) -> StackError {
        StackError::NotText { file: self.file.into(), key: key.into(), name: name.into() }
    }
}

/// `${name}` or `${name?}` as the whole text.
fn whole(text: &str) -> Option<(&str, bool)> {
    let inner = text.strip_prefix("${")?.strip_suffix('}')?;
    if inner.contains(['$', '{', '}']) {
        return None;
    }
    Some(inner.strip_suffix('?').map_or((inner, false), |name| (name, true)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filled(document: Value) -> Result<Value, StackError> {
        let fillings = Fillings::from([
            ("namespace", json!("monitoring")),
            ("replicas", json!(2)),
            ("groups", json!(["a", "b"])),
            ("storage.class", Value::Null),
        ]);
        fill("x.yaml", &document, &fillings)
    }

    #[test]
    fn whole_scalars_keep_their_type_and_texts_are_interpolated() {
        let document =
            json!({"n": "${replicas}", "list": "${groups}", "url": "http://x.${namespace}.svc", "one": "$1"});
        let expected = json!({"n": 2, "list": ["a", "b"], "url": "http://x.monitoring.svc", "one": "$1"});
        assert_eq!(filled(document).unwrap(), expected);
    }

    #[test]
    fn absent_optional_values_take_their_key_along() {
        assert_eq!(filled(json!({"class": "${storage.class?}", "a": 1})).unwrap(), json!({"a": 1}));
        assert!(matches!(filled(json!({"class": "${storage.class}"})), Err(StackError::NotText { .. })));
    }

    #[test]
    fn a_doubled_dollar_is_literal() {
        assert_eq!(filled(json!("a $${namespace} b")).unwrap(), json!("a ${namespace} b"));
    }

    #[test]
    fn unknown_names_are_refused_with_the_key_and_a_suggestion() {
        let error = filled(json!({"a": {"b": ["${namespce}"]}})).unwrap_err();
        assert_eq!(error.to_string(), "x.yaml: a.b[0]: unknown placeholder ${namespce}");
        assert_eq!(error.hint().as_deref(), Some("did you mean ${namespace}?"));
        assert!(filled(json!("x ${unclosed")).is_err());
        assert!(matches!(filled(json!("x ${groups}")), Err(StackError::NotText { .. })));
    }
}

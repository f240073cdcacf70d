//! The secrets that no output of this run may show, one list per process. `commands` fills it before the first output;
//! every text is filtered before it is written (stdout, stderr, JSON, log file, report files) or quoted from a log.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Secret;

/// Redacting shorter texts would hide ordinary words.
const SHORTEST: usize = 8;
/// Redacting shorter lines of a multi-line secret would hide ordinary lines of YAML.
const SHORTEST_LINE: usize = 12;
const HIDDEN: &str = "***";

static SECRETS: RwLock<Vec<Secret<String>>> = RwLock::new(Vec::new());

/// Registers secrets: redacted from now on as a whole, per line, JSON- and URL-quoted, and in base64, also inside of a
/// longer encoded text.
pub fn hide<'a>(secrets: impl IntoIterator<Item = &'a Secret<String>>) {
    let forms: BTreeSet<String> = secrets.into_iter().flat_map(|secret| forms(secret.expose())).collect();
    let mut known = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    let new = forms.into_iter().filter(|form| !known.iter().any(|one| one.expose() == form));
    let new: Vec<Secret<String>> = new.map(Secret::new).collect();
    known.extend(new);
    // A secret may be part of another one.
    known.sort_by_key(|form| std::cmp::Reverse(form.expose().len()));
}

/// Redacts a text.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let known = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    let shown = known.iter().filter(|form| text.contains(form.expose().as_str()));
    shown.fold(Cow::Borrowed(text), |shown, form| shown.replace(form.expose().as_str(), HIDDEN).into())
}

/// Redacts the strings of a JSON text, but not its keys.
pub fn redacted_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    let mut rest = json;
    while let Some((before, string)) = rest.split_once('"') {
        let end = end_of_string(string);
        let (inner, behind) = (&string[..end], &string[(end + 1).min(string.len())..]);
        let is_key = behind.trim_start().starts_with(':');
        let text: Option<String> = serde_json::from_str(&format!("\"{inner}\"")).ok().filter(|_| !is_key);
        let hidden = text.as_deref().map(redacted).filter(|hidden| Some(hidden.as_ref()) != text.as_deref());
        let quoted = hidden.and_then(|hidden| serde_json::to_string(hidden.as_ref()).ok());
        shown += before;
        shown += &quoted.unwrap_or_else(|| format!("\"{inner}\""));
        rest = behind;
    }
    shown + rest
}

/// Removes the secrets of the run; must precede cutting and wrapping, which would split a secret.
pub fn without_secrets<T: Serialize + DeserializeOwned>(facts: T) -> T {
    let json = serde_json::to_string(&facts).unwrap_or_default();
    let shown = redacted_json(&json);
    if shown == json { facts } else { serde_json::from_str(&shown).unwrap_or(facts) }
}

/// Index of the quote that ends a JSON string.
fn end_of_string(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            '"' if !is_escaped => return at,
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    text.len()
}

/// Every form in which a secret may appear.
pub fn forms(secret: &str) -> BTreeSet<String> {
    let lines = secret.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
    let whole = std::iter::once(secret.trim()).filter(|whole| whole.len() >= SHORTEST);
    let mut forms: BTreeSet<String> = whole.chain(lines).map(str::to_owned).collect();
    let quoted = |part: &String| -> Vec<String> {
        let json = serde_json::to_string(part).unwrap_or_default();
        let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
        vec![inner.to_owned(), form_encoded(part)]
    };
    let quoted: Vec<String> = forms.iter().flat_map(quoted).collect();
    forms.extend(quoted);
    forms.extend(encoded(secret.trim()));
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// base64 of a text at any offset of a longer one: the characters that do not depend on its neighbours.
fn encoded(text: &str) -> impl Iterator<Item = String> {
    let shifts = [(0, 0), (1, 2), (2, 3)];
    let of_shift = move |(shift, first): (usize, usize)| {
        let bytes = [&b"\0\0"[..shift], text.as_bytes()].concat();
        let whole = bytes.len() * 8 / 6;
        [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD].map(|engine| {
            let encoded = engine.encode(&bytes);
            encoded.get(first..whole).unwrap_or_default().to_owned()
        })
    };
    let all: Vec<String> = shifts.into_iter().flat_map(of_shift).collect();
    all.into_iter()
}

fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn a_secret_is_redacted_in_every_form() {
        hide([&Secret::new("redaction\"canary/one\n  redaction-line-two".to_owned()), &Secret::new("on".to_owned())]);
        let whole = "redaction\"canary/one\n  redaction-line-two";
        for text in [
            "log: redaction\"canary/one".to_owned(),
            "  redaction-line-two".to_owned(),
            r#"{"msg":"redaction\"canary/one"}"#.to_owned(),
            "?x=redaction%22canary%2Fone".to_owned(),
            STANDARD.encode(whole),
            STANDARD.encode(format!("u:{whole}:tail")),
            STANDARD.encode(format!("u{whole}")),
        ] {
            let shown = redacted(&text);
            assert!(shown.contains(HIDDEN), "{text}: {shown}");
        }
        assert_eq!(redacted("nothing on here"), "nothing on here");
    }

    #[test]
    fn json_strings_are_redacted_and_keys_are_kept() {
        hide([&Secret::new("json-canary-\"1".to_owned()), &Secret::new("json-key".to_owned())]);
        let json = "{\n  \"json-key\": [\"a\\\\\", \"x json-canary-\\\"1 y\"],\n  \"z\": 1\n}";
        assert_eq!(redacted_json(json), "{\n  \"json-key\": [\"a\\\\\", \"x *** y\"],\n  \"z\": 1\n}");
        assert_eq!(redacted_json("\"cut"), "\"cut\"");
    }
}

//! A user's claims from the id token and the userinfo, read as oauth2-proxy reads them
//! (pkg/providers/util/claim_extractor.go).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Claims of a verified id token, and of the userinfo if the token lacks one.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    pub(super) token: Map<String, Value>,
    /// `None`: not requested.
    pub(super) userinfo: Option<Result<Map<String, Value>, String>>,
}

impl Claims {
    /// From the id token; if absent or null there, from the userinfo.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        in_map(&self.token, name).or_else(|| in_map(self.userinfo()?, name))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Whether the token refers to another place for the claim (OpenID Connect Core, section 5.6.2; Entra ID does so for
    /// users in more than 200 groups).
    pub(super) fn has_reference_to(&self, name: &str) -> bool {
        self.token.get("_claim_names").is_some_and(|names| names.get(name).is_some())
    }

    fn userinfo(&self) -> Option<&Map<String, Value>> {
        self.userinfo.as_ref()?.as_ref().ok()
    }

    /// Whether the token has every claim that oauth2-proxy reads.
    pub(super) fn token_suffices(&self, groups_claim: &str) -> bool {
        [groups_claim, "email", "email_verified"].iter().all(|name| in_map(&self.token, name).is_some())
    }

    /// Claims with a text or a list of texts, without the registered ones.
    pub(super) fn lists(&self) -> BTreeMap<&str, Vec<String>> {
        let all = self.userinfo().into_iter().flatten().chain(&self.token);
        let reported = all.filter(|(name, _)| !REGISTERED.contains(&name.as_str()));
        reported.map(|(name, value)| (name.as_str(), texts(value))).filter(|(_, texts)| !texts.is_empty()).collect()
    }
}

/// Registered claims, which never contain groups (OpenID Connect Core, sections 2 and 5.1).
const REGISTERED: [&str; 31] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "acr",
    "amr",
    "azp",
    "at_hash",
    "c_hash",
    "sid",
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "email",
    "email_verified",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "phone_number",
    "updated_at",
    "scope",
];

/// By its whole name; if no claim has it, dots are a path.
fn in_map<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let by_path = || {
        let mut parts = name.split('.');
        let first = map.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    };
    map.get(name).or_else(by_path).filter(|value| !value.is_null())
}

/// A list of texts, or one text.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => {
            values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_claim_is_found_by_its_whole_name_first_then_by_path_then_in_the_userinfo() {
        let claims = Claims {
            token: map(json!({"https://acme.example/groups": ["a"], "realm": {"roles": ["b"]}, "email": null})),
            userinfo: Some(Ok(map(json!({"email": "a@acme.example", "realm": {"roles": ["c"]}, "team": "d"})))),
        };
        assert_eq!(claims.get("https://acme.example/groups"), Some(&json!(["a"])));
        assert_eq!(claims.get("realm.roles"), Some(&json!(["b"])));
        assert_eq!(claims.text("email"), Some("a@acme.example"));
        assert_eq!(claims.get("team"), Some(&json!("d")));
        assert_eq!(claims.get("realm.groups"), None);
        assert!(!claims.token_suffices("team"));
        assert_eq!(claims.lists().keys().copied().collect::<Vec<_>>(), ["https://acme.example/groups", "team"]);
    }

    #[test]
    fn groups_are_a_list_or_one_text() {
        assert_eq!(texts(&json!("a")), ["a"]);
        assert_eq!(texts(&json!(["a", 7])), ["a", "7"]);
        assert!(texts(&json!({"a": 1})).is_empty() && texts(&json!([])).is_empty());
    }
}

//! The answers below `charts` besides the address: those that do not fit together are rejected.

use std::path::PathBuf;

use crate::config::{ChartRepository, ConfigError, Draft, Problem, Provenance, RepositoryAccess};

impl Draft {
    /// The answers below `charts` besides the address, or all that do not fit together.
    pub fn repository_access(&self) -> Result<RepositoryAccess, ConfigError> {
        let mut problems = Vec::new();
        match self.access(&mut problems) {
            access if problems.is_empty() => Ok(access),
            _ => Err(ConfigError::Invalid { problems }),
        }
    }

    /// Whether a flag is `true`.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.text(key).is_some_and(|(text, _)| text == "true")
    }

    pub(super) fn access(&self, problems: &mut Vec<Problem>) -> RepositoryAccess {
        let text = |key: &str| self.text(key).map(|(text, _)| text);
        let access = RepositoryAccess {
            username: text("charts.username").and_then(|text| text.parse().ok()),
            password: self.secret("charts.password", problems),
            ca_file: text("charts.caFile").map(PathBuf::from),
            plain_http: self.is_set("charts.plainHttp"),
        };
        let repository: Option<ChartRepository> = text("charts.repository").and_then(|text| text.parse().ok());
        let from = |key: &str| self.answers.get(key).map(|(_, from)| from.clone());
        let is_remote = repository.as_ref().is_some_and(|repository| repository.as_str().contains("://"));
        let is_registry = repository.as_ref().is_some_and(|repository| repository.as_str().starts_with("oci://"));
        let mut problem = |key: &str, found: &str, expected: &str| {
            let place = from(key).map(|from| from.to_string()).unwrap_or_default();
            problems.push(Problem { place, key: key.into(), found: found.into(), expected: expected.into() });
        };
        // The saved answers have no password.
        let is_new = |key| from(key).is_some_and(|from| from != Provenance::Saved);
        match (is_new("charts.username"), is_new("charts.password")) {
            (true, false) => problem("charts.username", "no password", "expected charts.password too"),
            (false, true) if access.username.is_none() => {
                problem("charts.password", "no user", "expected charts.username too")
            }
            (false, true) | (true, true) if !is_remote => {
                problem("charts.password", "no repository", "expected the user's repository in charts.repository")
            }
            _ => {}
        }
        if access.plain_http && !is_registry {
            let expected = "expected an oci:// address in charts.repository (an http:// address is always without TLS)";
            problem("charts.plainHttp", "true", expected);
        }
        access
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    /// Keys of the answers that do not fit together.
    fn rejected(answers: &[(&str, &str)], from: &Provenance) -> Vec<String> {
        let mut draft = Draft::default();
        for (key, text) in answers {
            match *key {
                "charts.password" => draft.set_secret(key, Secret::new((*text).to_owned())),
                _ => draft.set(key, text, from.clone()).unwrap(),
            }
        }
        let mut problems = Vec::new();
        draft.access(&mut problems);
        problems.into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn answers_that_do_not_fit_together_are_rejected_by_key() {
        const HTTPS: (&str, &str) = ("charts.repository", "https://charts.acme.example");
        const OCI: (&str, &str) = ("charts.repository", "oci://registry.acme.example");
        const USER: (&str, &str) = ("charts.username", "ci");
        const PASSWORD: (&str, &str) = ("charts.password", "pw");
        const PLAIN: (&str, &str) = ("charts.plainHttp", "true");
        let set = |answers: &[(&str, &str)]| rejected(answers, &Provenance::Set);
        assert_eq!(set(&[HTTPS, USER, PASSWORD]), [""; 0]);
        assert_eq!(set(&[OCI, USER, PASSWORD, PLAIN]), [""; 0]);
        assert_eq!(set(&[("charts.caFile", "/ca.pem")]), [""; 0], "also for the catalogue's repositories");
        assert_eq!(set(&[HTTPS, USER]), ["charts.username"]);
        assert_eq!(set(&[HTTPS, PASSWORD]), ["charts.password"]);
        assert_eq!(set(&[USER, PASSWORD]), ["charts.password"]);
        assert_eq!(set(&[("charts.repository", "/srv/charts"), USER, PASSWORD]), ["charts.password"]);
        assert_eq!(set(&[HTTPS, PLAIN]), ["charts.plainHttp"]);
        assert_eq!(set(&[PLAIN]), ["charts.plainHttp"]);
        assert_eq!(rejected(&[HTTPS, USER], &Provenance::Saved), [""; 0], "a run saves no password");
    }
}

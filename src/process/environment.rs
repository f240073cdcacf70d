//! The environment of children: all variables but our own secrets, by exact name.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

/// The conventional variable of the OAuth client's secret.
const CLIENT_SECRET: &str = "AUTH0_CLIENT_SECRET";
/// Answers and flags by environment; children do not need them.
const OWN_PREFIX: &str = "TAILWATCH_";

/// The environment of every child. Cheap to clone.
///
/// Withholds exactly `AUTH0_CLIENT_SECRET`, `TAILWATCH_*` and the variables that are sources of secrets in the answers.
/// Passes all others: exec plugins of a kubeconfig and credential helpers need the cloud's own
/// (`AWS_SECRET_ACCESS_KEY`, `AZURE_CLIENT_SECRET`, `VAULT_SECRET_ID`).
#[derive(Clone, Debug, Default)]
pub struct Environment {
    secrets: Arc<BTreeSet<String>>,
}

impl Environment {
    /// Withholds these variables in addition to the fixed ones.
    pub fn without(names: impl IntoIterator<Item = String>) -> Environment {
        Environment { secrets: Arc::new(names.into_iter().collect()) }
    }

    /// Withholds these as well.
    #[must_use]
    pub fn and_without(&self, names: impl IntoIterator<Item = String>) -> Environment {
        Environment::without(self.secrets.iter().cloned().chain(names))
    }

    /// Whether no child may get the variable.
    pub fn withholds(&self, name: &OsStr) -> bool {
        let name = name.to_string_lossy();
        name == CLIENT_SECRET || name.starts_with(OWN_PREFIX) || self.secrets.contains(name.as_ref())
    }

    /// Names of the variables of this process that no child may get.
    pub fn withheld(&self) -> BTreeSet<String> {
        let names = std::env::vars_os().map(|(name, _)| name).filter(|name| self.withholds(name));
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    /// The same as [`OsString`].
    pub(super) fn withheld_names(&self) -> impl Iterator<Item = OsString> {
        std::env::vars_os().map(|(name, _)| name).filter(|name| self.withholds(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_are_withheld() {
        let environment = Environment::without(["OIDC_KEY".to_owned()]).and_without(["SMTP_PASSWORD".to_owned()]);
        for (name, withheld) in [
            ("OIDC_KEY", true),
            ("SMTP_PASSWORD", true),
            ("AUTH0_CLIENT_SECRET", true),
            ("TAILWATCH_ANSWERS", true),
            ("TAILWATCH_", true),
            ("OIDC_KEY_2", false),
            ("oidc_key", false),
            ("MY_OIDC_KEY", false),
            ("AUTH0_DOMAIN", false),
            ("AUTH0_CLIENT_SECRET_OLD", false),
            ("MY_TAILWATCH_X", false),
            ("AWS_SECRET_ACCESS_KEY", false),
            ("AZURE_CLIENT_SECRET", false),
            ("AAD_SERVICE_PRINCIPAL_CLIENT_SECRET", false),
            ("ARM_CLIENT_SECRET", false),
            ("VAULT_SECRET_ID", false),
            ("OS_APPLICATION_CREDENTIAL_SECRET", false),
        ] {
            assert_eq!(environment.withholds(OsStr::new(name)), withheld, "{name}");
        }
    }
}

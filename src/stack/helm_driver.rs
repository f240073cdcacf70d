//! The storage driver of helm.

use std::fmt;

/// Values of `HELM_DRIVER` with records in the cluster (helm pkg/action, Configuration.Init).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HelmDriver {
    /// `secret`, `secrets`, empty, or no variable.
    #[default]
    Secrets,
    /// `configmap` or `configmaps`
    ConfigMaps,
}

impl HelmDriver {
    /// The environment variable.
    pub const VARIABLE: &str = "HELM_DRIVER";

    /// From the variable's text; `None`: a driver with records outside of the cluster, or an unknown one.
    pub fn of(text: &str) -> Option<HelmDriver> {
        match text {
            "" | "secret" | "secrets" => Some(HelmDriver::Secrets),
            "configmap" | "configmaps" => Some(HelmDriver::ConfigMaps),
            _ => None,
        }
    }

    /// helm's name of it.
    pub fn name(self) -> &'static str {
        match self {
            HelmDriver::Secrets => "secret",
            HelmDriver::ConfigMaps => "configmap",
        }
    }

    /// Kind of a record.
    pub fn kind(self) -> &'static str {
        match self {
            HelmDriver::Secrets => "Secret",
            HelmDriver::ConfigMaps => "ConfigMap",
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> HelmDriver {
        match self {
            HelmDriver::Secrets => HelmDriver::ConfigMaps,
            HelmDriver::ConfigMaps => HelmDriver::Secrets,
        }
    }
}

impl fmt::Display for HelmDriver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_are_read_as_helm_reads_them() {
        for (text, driver) in [
            ("", Some(HelmDriver::Secrets)),
            ("secret", Some(HelmDriver::Secrets)),
            ("secrets", Some(HelmDriver::Secrets)),
            ("configmap", Some(HelmDriver::ConfigMaps)),
            ("configmaps", Some(HelmDriver::ConfigMaps)),
            ("Secret", None),
            ("memory", None),
            ("sql", None),
            (" ", None),
        ] {
            assert_eq!(HelmDriver::of(text), driver, "{text:?}");
        }
    }
}

//! Why no plan can be made.

use crate::cluster::ClusterError;
use crate::helm::HelmError;

/// No plan can be made; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A newer chart stands than the one asked for.
    #[error("{component} {installed} is installed, but {asked} is asked for; charts are never downgraded")]
    Downgrade {
        /// Component.
        component: String,
        /// What stands.
        installed: semver::Version,
        /// What is asked.
        asked: semver::Version,
    },
    /// A release of that name stands with another chart.
    #[error("release {release} in namespace {namespace} was made from chart {found}, not from {expected}")]
    ForeignRelease {
        /// Release name.
        release: String,
        /// Namespace.
        namespace: String,
        /// Chart it was made from.
        found: String,
        /// Chart of the catalogue.
        expected: String,
    },
    /// A major is asked for that was never tried, and nobody has said yes to that.
    #[error("{}", versions.join("\n"))]
    Unverified {
        /// One sentence for each; never empty.
        versions: Vec<String>,
    },
    /// The releases changed between the plan and its execution.
    #[error("release {release} changed while the plan was being confirmed")]
    Stale {
        /// Release name.
        release: String,
    },
    /// No release of the stack stands.
    #[error("nothing of the stack is installed in namespace {namespace}")]
    NothingInstalled {
        /// Namespace.
        namespace: String,
    },
    /// The cluster could not be read.
    #[error("cannot read what stands in the cluster")]
    Cluster(#[from] ClusterError),
    /// helm could not read or render.
    #[error("{what}")]
    Helm {
        /// What was tried, e.g. "cannot render chart loki 6.46.0".
        what: String,
        /// Why it failed.
        #[source]
        source: HelmError,
    },
}

impl PlanError {
    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            PlanError::Downgrade { component, installed, .. } => {
                Some(format!("write `versions: {{ {component}: {installed} }}` in the answers to keep what stands"))
            }
            PlanError::ForeignRelease { release, namespace, .. } => Some(format!(
                "install the stack into another namespace with --namespace, or remove that release with `helm uninstall {release} -n {namespace}`"
            )),
            PlanError::Unverified { .. } => Some(
                "read the chart's release notes, then add --allow-unverified; or ask for a version of an earlier major"
                    .into(),
            ),
            PlanError::Stale { .. } => Some("run the same command again; it plans afresh from what stands now".into()),
            PlanError::NothingInstalled { .. } => {
                Some("install it with `tailwatch install`, or name its place with --namespace and --context".into())
            }
            PlanError::Cluster(error) => error.hint(),
            PlanError::Helm { source, .. } => source.hint(),
        }
    }
}

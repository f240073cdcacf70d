//! Errors of planning.

use crate::cluster::ClusterError;
use crate::helm::HelmError;
use crate::stack::HelmDriver;

/// No plan can be built; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The installed chart is newer than the requested one.
    #[error("{component} {installed} is installed, the answers have {requested}; charts are never downgraded")]
    Downgrade {
        /// Component.
        component: String,
        /// Installed version.
        installed: semver::Version,
        /// Requested version.
        requested: semver::Version,
    },
    /// A release of that name has another chart.
    #[error("release {release} in namespace {namespace} has chart {found}, expected {expected}")]
    ForeignRelease {
        /// Release name.
        release: String,
        /// Namespace.
        namespace: String,
        /// Its chart.
        found: String,
        /// Chart of the catalogue.
        expected: String,
    },
    /// An untried major is requested without `--allow-unverified` or a confirmation.
    #[error("{}", versions.join("\n"))]
    Unverified {
        /// One sentence for each; never empty.
        versions: Vec<String>,
    },
    /// Another helm client started an operation on a release that has not ended.
    #[error(
        "release {release} in namespace {namespace} is {status} since {since}; the operation was not started by tailwatch"
    )]
    PendingOperation {
        /// Release name.
        release: String,
        /// Namespace.
        namespace: String,
        /// helm's status, e.g. `pending-upgrade`.
        status: &'static str,
        /// Start, RFC 3339.
        since: String,
    },
    /// Releases of the stack's names are installed that tailwatch did not install.
    #[error("{}: not installed by tailwatch", releases.join(", "))]
    UnmanagedReleases {
        /// `release loki in namespace monitoring`; never empty.
        releases: Vec<String>,
    },
    /// Another tool reconciles releases of the stack: it would undo a change.
    #[error("{}", reconciled.join("; "))]
    Reconciled {
        /// `Application loki of Argo CD reconciles release loki in namespace monitoring`; never empty.
        reconciled: Vec<String>,
    },
    /// A volume would have to shrink.
    #[error("{claim} has {current}, the answers have {requested}; volumes never shrink")]
    Shrink {
        /// Kind and name of the object that has the claim.
        claim: String,
        /// Current size.
        current: String,
        /// Requested size.
        requested: String,
    },
    /// A volume cannot be expanded.
    #[error("PersistentVolumeClaim {claim} cannot be expanded to {requested}: StorageClass {class} does not allow it")]
    NotExpandable {
        /// Claim.
        claim: String,
        /// Requested size.
        requested: String,
        /// Its StorageClass.
        class: String,
    },
    /// The cluster changed between the plan and its execution.
    #[error("{what} changed after the plan was made")]
    Stale {
        /// e.g. `release loki` or `Deployment oauth2-proxy`.
        what: String,
    },
    /// The reviewed plan differs from the plan that would be executed.
    #[error("the reviewed plan {file} is stale: {why}")]
    Reviewed {
        /// Its file.
        file: String,
        /// The first difference.
        why: String,
    },
    /// The other storage driver has records of the stack's releases.
    #[error("{}", other_driver(*uses, other_only, both))]
    OtherDriver {
        /// The driver in use.
        uses: HelmDriver,
        /// (release, namespace) with records of the other driver only.
        other_only: Vec<(String, String)>,
        /// (release, namespace) with records of both drivers.
        both: Vec<(String, String)>,
    },
    /// No release of the stack is installed.
    #[error("no release of the stack is installed in namespace {namespace}")]
    NothingInstalled {
        /// Namespace.
        namespace: String,
    },
    /// The cluster could not be read.
    #[error("cannot read the state of the cluster")]
    Cluster(#[from] ClusterError),
    /// The chart's schema rejects some values.
    #[error("cannot render chart {chart}: its schema rejects {}", rejected.keys.join(", "))]
    Values {
        /// Chart and version.
        chart: String,
        /// The rejected values.
        rejected: Box<RejectedValues>,
        /// helm's message.
        #[source]
        source: HelmError,
    },
    /// helm could not read a release or render a chart.
    #[error("{what}")]
    Helm {
        /// The operation, e.g. "cannot render chart loki 6.46.0".
        what: String,
        /// The cause.
        #[source]
        source: HelmError,
    },
}

/// Values that a chart's schema rejects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedValues {
    /// Their paths in the answers, e.g. `values.loki.singleBinary.replicas`.
    pub keys: Vec<String>,
    /// What to do.
    pub hint: String,
}

/// `release loki in namespace monitoring`
fn other_driver(uses: HelmDriver, other_only: &[(String, String)], both: &[(String, String)]) -> String {
    let named = |releases: &[(String, String)]| {
        let named = releases.iter().map(|(release, namespace)| format!("release {release} in namespace {namespace}"));
        named.collect::<Vec<_>>().join(", ")
    };
    let (mine, other) = (uses.kind(), uses.other().kind());
    match both {
        [] => format!("helm keeps its records of {} in {other}s, but this run reads {mine}s", named(other_only)),
        _ => format!("there are records of {} in {mine}s and in {other}s", named(both)),
    }
}

impl PlanError {
    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            PlanError::Downgrade { component, installed, .. } => {
                Some(format!("write `versions: {{ {component}: {installed} }}` in the answers to keep the installed version"))
            }
            PlanError::ForeignRelease { release, namespace, .. } => Some(format!(
                "install the stack into another namespace with --namespace, or remove that release with `helm uninstall {release} -n {namespace}`"
            )),
            PlanError::Unverified { .. } => Some(
                "read the chart's release notes, then add --allow-unverified; or request a version of an earlier major"
                    .into(),
            ),
            PlanError::PendingOperation { release, namespace, .. } => Some(format!(
                "wait until it ends; if that helm no longer runs, end it with `helm rollback {release} -n {namespace}` (or `helm uninstall`, if there is no earlier revision), then run the same command again"
            )),
            PlanError::UnmanagedReleases { .. } => Some(
                "`tailwatch plan --diff` shows what would change; --adopt adopts it, --namespace selects another namespace"
                    .into(),
            ),
            PlanError::Reconciled { .. } => Some(
                "change the files of that tool, e.g. by `tailwatch export`; `tailwatch verify` checks the stack, and --adopt \
                 changes it nevertheless"
                    .into(),
            ),
            PlanError::Shrink { current, .. } => {
                Some(format!("set {current} or more below `storage:` in the answers"))
            }
            PlanError::NotExpandable { class, .. } => Some(format!(
                "set allowVolumeExpansion on StorageClass {class} if its driver can grow volumes, or keep the size below `storage:`"
            )),
            PlanError::Reviewed { .. } => {
                Some("write the plan again with `tailwatch plan --out FILE`, review it, then run `tailwatch install --plan FILE`".into())
            }
            PlanError::Stale { .. } => Some("run the same command again; it plans from the current state".into()),
            PlanError::OtherDriver { uses, other_only, both } => Some(match (both.first(), other_only.first()) {
                (Some((release, namespace)), _) => {
                    let (mine, other) = (uses.kind().to_lowercase(), uses.other().kind().to_lowercase());
                    format!(
                        "find out which records are current (`helm history {release} -n {namespace}` with {variable}={uses} and with \
                         {variable}={}), and delete the others: `kubectl delete {other} -n {namespace} -l owner=helm,name={release}`, \
                         or {mine} instead",
                        uses.other(),
                        variable = HelmDriver::VARIABLE,
                    )
                }
                (None, _) => format!(
                    "set {}={} for every run on this stack, as at its first installation",
                    HelmDriver::VARIABLE,
                    uses.other()
                ),
            }),
            PlanError::NothingInstalled { .. } => {
                Some("install it with `tailwatch install`, or select its namespace and cluster with --namespace and --context".into())
            }
            PlanError::Values { rejected, .. } => Some(rejected.hint.clone()),
            PlanError::Cluster(error) => error.hint(),
            PlanError::Helm { source, .. } => source.hint(),
        }
    }
}

//! Why no plan can be made.

use crate::cluster::ClusterError;
use crate::helm::HelmError;
use crate::stack::HelmDriver;

/// No plan can be made; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A newer chart stands than the one asked for.
    #[error("{component} {installed} is installed, the answers have {asked}; charts are never downgraded")]
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
    /// helm in other hands began something with a release and has not ended it.
    #[error(
        "release {release} in namespace {namespace} is {status} since {since}; the operation was not started by tailwatch"
    )]
    UnderWay {
        /// Release name.
        release: String,
        /// Namespace.
        namespace: String,
        /// helm's word, e.g. `pending-upgrade`.
        status: &'static str,
        /// Since when, RFC 3339.
        since: String,
    },
    /// Releases of our names stand that no run of ours ever touched.
    #[error("{}: not installed by tailwatch", releases.join(", "))]
    Strangers {
        /// `release loki in namespace monitoring`; never empty.
        releases: Vec<String>,
    },
    /// A volume would have to shrink.
    #[error("{claim} has {standing}, the answers have {asked}; volumes never shrink")]
    Shrink {
        /// Kind and name of what asks for the volume.
        claim: String,
        /// Size that stands.
        standing: String,
        /// Size that is asked.
        asked: String,
    },
    /// A volume cannot grow.
    #[error("PersistentVolumeClaim {claim} cannot grow to {asked}: StorageClass {class} does not allow it")]
    NoGrowth {
        /// Claim.
        claim: String,
        /// Size that is asked.
        asked: String,
        /// Its class.
        class: String,
    },
    /// The cluster changed between the plan and its execution.
    #[error("{what} changed after the plan was made")]
    Stale {
        /// What, e.g. `release loki` or `Deployment oauth2-proxy`.
        what: String,
    },
    /// The plan that was reviewed is not the one that would be executed.
    #[error("the reviewed plan {file} does not hold any more: {why}")]
    Reviewed {
        /// Its file.
        file: String,
        /// The first difference.
        why: String,
    },
    /// helm keeps releases of the stack where the driver in use does not look.
    #[error("{}", other_driver(*uses, once, twice))]
    OtherDriver {
        /// The driver in use.
        uses: HelmDriver,
        /// (release, namespace) of those that stand by the other driver's records only.
        once: Vec<(String, String)>,
        /// Of those that stand by the records of both.
        twice: Vec<(String, String)>,
    },
    /// No release of the stack stands.
    #[error("nothing of the stack is installed in namespace {namespace}")]
    NothingInstalled {
        /// Namespace.
        namespace: String,
    },
    /// The cluster could not be read.
    #[error("cannot read the state of the cluster")]
    Cluster(#[from] ClusterError),
    /// The chart's schema refuses some values.
    #[error("cannot render chart {chart}, whose schema refuses {}", refused.keys.join(", "))]
    Values {
        /// Chart and version.
        chart: String,
        /// Which.
        refused: Box<RefusedValues>,
        /// In helm's words.
        #[source]
        source: HelmError,
    },
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

/// Values that a chart's schema refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedValues {
    /// As the answers have them or would, e.g. `values.loki.singleBinary.replicas`.
    pub keys: Vec<String>,
    /// What to do.
    pub hint: String,
}

/// `release loki in namespace monitoring`
fn other_driver(uses: HelmDriver, once: &[(String, String)], twice: &[(String, String)]) -> String {
    let named = |releases: &[(String, String)]| {
        let named = releases.iter().map(|(release, namespace)| format!("release {release} in namespace {namespace}"));
        named.collect::<Vec<_>>().join(", ")
    };
    let (mine, other) = (uses.kind(), uses.other().kind());
    match twice {
        [] => format!("helm keeps its records of {} in {other}s, but this run looks for them in {mine}s", named(once)),
        _ => format!("there are records of {} in {mine}s and in {other}s", named(twice)),
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
                "read the chart's release notes, then add --allow-unverified; or ask for a version of an earlier major"
                    .into(),
            ),
            PlanError::UnderWay { release, namespace, .. } => Some(format!(
                "wait until it ends; if that helm is not running any more, end it with `helm rollback {release} -n {namespace}` (or `helm uninstall`, if there is no earlier revision), then run the same command again"
            )),
            PlanError::Strangers { .. } => Some(
                "`tailwatch plan --diff` shows what would change; --adopt takes it over, --namespace selects another namespace"
                    .into(),
            ),
            PlanError::Shrink { standing, .. } => {
                Some(format!("set {standing} or more below `storage:` in the answers"))
            }
            PlanError::NoGrowth { class, .. } => Some(format!(
                "set allowVolumeExpansion on StorageClass {class} if its driver can grow volumes, or keep the size below `storage:`"
            )),
            PlanError::Reviewed { .. } => {
                Some("write the plan again with `tailwatch plan --out FILE`, review it, then run `tailwatch install --plan FILE`".into())
            }
            PlanError::Stale { .. } => Some("run the same command again; it plans from the current state".into()),
            PlanError::OtherDriver { uses, once, twice } => Some(match (twice.first(), once.first()) {
                (Some((release, namespace)), _) => {
                    let (mine, other) = (uses.kind().to_lowercase(), uses.other().kind().to_lowercase());
                    format!(
                        "find out which records are true (`helm history {release} -n {namespace}` with {variable}={uses} and with \
                         {variable}={}), and delete the others: `kubectl delete {other} -n {namespace} -l owner=helm,name={release}`, \
                         or {mine} in its place",
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
                Some("install it with `tailwatch install`, or name its place with --namespace and --context".into())
            }
            PlanError::Values { refused, .. } => Some(refused.hint.clone()),
            PlanError::Cluster(error) => error.hint(),
            PlanError::Helm { source, .. } => source.hint(),
        }
    }
}

//! Checks that do not need the plan.

use futures::FutureExt as _;

use crate::check::node_coverage;
use crate::check::preflight::tailscale_proxy::{self, Configured};
use crate::check::preflight::{Permitted, fact, judged, unless_forbidden};
use crate::check::row::{Finding, Row, known};
use crate::check::runner::{self, Subject};
use crate::cluster::{ClassFault, Cluster, ClusterError, Storage, default_class};
use crate::config::{IngressClass, OperatorPlan, Settings, nearest};
use crate::event::CheckResult;
use crate::helm::Helm;
use crate::stack::{ClusterFacts, NodeStates, OperatorClient};

/// The oldest Kubernetes that every chart of the catalogue supports (kube-prometheus-stack: >=1.25.0-0).
pub const OLDEST_KUBERNETES: (u64, u64) = (1, 25);

pub(in crate::check) const ROWS: &[Row<Facts>] = &[
    fact("kubernetes-version", "Kubernetes is new enough for every chart", |facts: &Facts| {
        known(version(&facts.kubernetes))
    })
    .hint("upgrade the cluster to Kubernetes 1.25 or later"),
    fact("storage-class", "the volumes have a StorageClass", |facts: &Facts| {
        let configured = facts.settings.storage.class.as_ref().map(|class| class.as_str());
        known(judged(&facts.storage, |(classes, fault)| match fault {
            Some(fault) => storage_fault(classes, fault),
            None => storage(classes, configured),
        }))
    })
    .hint("set storage.class to one that the cluster has, or install a storage provisioner"),
    fact("ingress-class", "an IngressClass of the Tailscale operator exists or will be installed", |facts: &Facts| {
        known(ingress((facts.operator, &facts.ingress_class), facts.has_operator_client, &facts.tailscale_namespaces))
    })
    .hint("install the Tailscale operator, or set tailscale.operator to install"),
    fact("tailscale-proxy", "the configured ProxyGroup and ProxyClass exist and are ready", |facts: &Facts| {
        known(tailscale_proxy::judge(&facts.proxy))
    })
    .hint("see `kubectl describe proxygroup` and `kubectl describe proxyclass`"),
    fact("nodes", "every node runs the stack's pods", |facts: &Facts| known(node_coverage::judge(&facts.nodes)))
        .warns()
        .hint("see `kubectl get nodes`; nothing waits for the pods of nodes that are not ready"),
    // A missing or too old helm is an earlier error.
    fact("helm", "helm is installed and new enough", |facts: &Facts| known(Finding::pass(facts.helm.as_str())))
        .hint("install helm, or set its path with --helm"),
];

/// What was read of the cluster and helm, and the answers.
pub(in crate::check) struct Facts {
    settings: Settings,
    kubernetes: String,
    storage: Permitted<Storage>,
    operator: OperatorPlan,
    ingress_class: IngressClass,
    /// Namespaces of the Tailscale operators.
    tailscale_namespaces: Vec<String>,
    proxy: Vec<Configured>,
    /// Whether there is an OAuth client for the Tailscale operator.
    has_operator_client: bool,
    nodes: NodeStates,
    helm: String,
}

impl Subject for Facts {
    fn namespace(&self) -> &str {
        self.settings.namespace.as_str()
    }
}

pub(in crate::check) const RENDERED: &[Row<Rendered>] =
    &[fact("charts", "every chart can be fetched and renders as expected", |charts: &Rendered| {
        known(match charts.notices.as_slice() {
            [] => Finding::pass(format!("{} charts", charts.count)),
            notices => Finding::warn(notices.join("; ")),
        })
    })
    .warns()
    .hint("compare the reported keys below `values:` with the chart's values, and correct them")];

/// The rendered charts.
pub(in crate::check) struct Rendered {
    count: usize,
    notices: Vec<String>,
}

impl Subject for Rendered {}

/// What only these checks read of the cluster.
pub struct Resources {
    storage: Permitted<Storage>,
    proxy: Vec<Configured>,
}

/// Reads the StorageClasses, the ProxyGroup and the ProxyClass.
pub async fn read(cluster: &Cluster, settings: &Settings) -> Result<Resources, ClusterError> {
    let configured = settings.storage.class.as_ref().map(|class| class.as_str());
    let (storage, proxy) = futures::try_join!(
        cluster.storage(configured, settings.namespace.as_str()).map(unless_forbidden),
        tailscale_proxy::read(cluster, &settings.tailscale)
    )?;
    Ok(Resources { storage, proxy })
}

/// Judges the cluster and helm against the settings.
pub async fn run(
    (cluster, helm): (&Cluster, &Helm),
    settings: &Settings,
    facts: &ClusterFacts,
    resources: Resources,
) -> Vec<CheckResult> {
    let Resources { storage, proxy } = resources;
    let facts = Facts {
        settings: settings.clone(),
        kubernetes: cluster.version().to_owned(),
        storage,
        operator: facts.tailscale_operator,
        ingress_class: facts.ingress_class.clone(),
        tailscale_namespaces: facts.tailscale_namespaces.clone(),
        proxy,
        has_operator_client: OperatorClient::resolve(&settings.tailscale, facts.tailscale.as_ref()).is_ok(),
        nodes: facts.nodes.clone(),
        helm: format!("{}, {}", helm.version(), helm.program().display()),
    };
    runner::run(ROWS, &facts, None).await
}

/// Every chart was fetched, has the locked digest and renders; otherwise the command has already failed.
pub async fn charts_rendered(count: usize, notices: &[String]) -> Vec<CheckResult> {
    runner::run(RENDERED, &Rendered { count, notices: notices.to_vec() }, None).await
}

fn version(found: &str) -> Finding {
    match semver::Version::parse(found).ok().map(|version| (version.major, version.minor)) {
        Some(version) if version >= OLDEST_KUBERNETES => Finding::pass(found),
        Some(_) => Finding::fail(found),
        None => Finding::warn(found),
    }
}

fn storage(classes: &[(String, bool)], configured: Option<&str>) -> Finding {
    let names: Vec<&str> = classes.iter().map(|(name, _)| name.as_str()).collect();
    match (configured, default_class(classes)) {
        (Some(configured), _) if names.contains(&configured) => Finding::pass(configured),
        (Some(configured), _) => {
            let near = nearest(configured, names.iter().copied()).map(|name| format!("did you mean {name}? "));
            Finding::fail(format!("the cluster has no StorageClass {configured}")).hinting(format!(
                "{}the cluster has: {}",
                near.unwrap_or_default(),
                names.join(", ")
            ))
        }
        (None, Some(name)) => match classes.iter().filter(|(_, default)| *default).count() {
            1 => Finding::pass(format!("{name}, the cluster's default")),
            count => Finding::pass(format!("{name}, the newest of the cluster's {count} default classes")),
        },
        (None, None) => {
            let finding = Finding::fail("storage.class is not set and the cluster has no default StorageClass");
            if names.is_empty() {
                finding.hinting("install a storage provisioner first")
            } else {
                finding.hinting(format!("set storage.class to one of: {}", names.join(", ")))
            }
        }
    }
}

fn storage_fault(classes: &[(String, bool)], (class, fault): &(String, ClassFault)) -> Finding {
    let others: Vec<&str> = classes.iter().map(|(name, _)| name.as_str()).filter(|name| name != class).collect();
    let others = if others.is_empty() { "install one".to_owned() } else { format!("one of: {}", others.join(", ")) };
    match fault {
        ClassFault::Deleted(since) => {
            Finding::fail(format!("StorageClass {class} is being deleted since {since}")).hinting(format!("set storage.class to another class, {others}"))
        }
        ClassFault::NoDriver(driver) => Finding::warn(format!(
            "StorageClass {class} needs the CSI driver {driver}, and the cluster has no CSIDriver of this name"
        ))
        .hinting(format!("install the driver, or set storage.class to another class, {others}")),
        ClassFault::Stopped { provisioner, namespace, since } => Finding::warn(format!(
            "the provisioner {provisioner} of StorageClass {class} last renewed its Lease in namespace {namespace} at {since}"
        ))
        .hinting(format!(
            "see `kubectl -n {namespace} get pods`: without the provisioner no volume is created; or set storage.class to \
             another class, {others}"
        )),
        ClassFault::NoVolumes => Finding::fail(format!(
            "StorageClass {class} creates no volumes (kubernetes.io/no-provisioner), and no PersistentVolume of it is available"
        ))
        .hinting(format!("create PersistentVolumes of the class, or set storage.class to another class, {others}")),
    }
}

/// `namespaces`: the namespaces of the Tailscale operators. The NetworkPolicy of oauth2-proxy admits their proxies.
fn ingress((operator, class): (OperatorPlan, &IngressClass), credentials: bool, namespaces: &[String]) -> Finding {
    match class {
        IngressClass::Chosen(_) => {}
        IngressClass::Missing(name, existing) => {
            let existing = if existing.is_empty() { "none".to_owned() } else { existing.join(", ") };
            return Finding::fail(format!(
                "no Tailscale operator has IngressClass {name}; the cluster has: {existing}"
            ))
            .hinting("set tailscale.ingressClass to an existing one, or remove it from the answers");
        }
        IngressClass::Ambiguous(several) => {
            return Finding::fail(format!(
                "the Tailscale operators have several IngressClasses: {}",
                several.join(", ")
            ))
            .hinting("set tailscale.ingressClass to one of them");
        }
    }
    match (operator, credentials) {
        (OperatorPlan::Use, _) => {
            Finding::pass(format!("IngressClass {}, proxies in namespace {}", class.name(), namespaces.join(", ")))
        }
        (OperatorPlan::Install, true) => Finding::pass("the Tailscale operator will be installed"),
        (OperatorPlan::Install, false) => {
            let hint = "set tailscale.oauth.clientId and tailscale.oauth.clientSecret, or install the operator yourself \
                        and set tailscale.operator to present";
            Finding::fail("the Tailscale operator will be installed and needs an OAuth client").hinting(hint)
        }
        (OperatorPlan::Missing, _) => Finding::fail(
            "no IngressClass has the controller tailscale.com/ts-ingress, and tailscale.operator is present",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;

    #[test]
    fn a_cluster_without_a_usable_storage_class_fails_before_the_change() {
        let classes = [("standard".to_owned(), false), ("fast".to_owned(), false)];
        assert_eq!(storage(&classes, None).state, State::Fail);
        assert_eq!(storage(&classes, Some("fast")).state, State::Pass);
        let near = storage(&classes, Some("standart"));
        assert!(near.hint.unwrap().contains("did you mean standard?"));
        assert_eq!(storage(&[("standard".to_owned(), true)], None).state, State::Pass);
        let several = [("fast".to_owned(), true), ("standard".to_owned(), true)];
        assert_eq!(storage(&several, None).detail, "fast, the newest of the cluster's 2 default classes");
    }

    #[test]
    fn the_ingress_needs_an_operator() {
        for (operator, credentials, state) in [
            (OperatorPlan::Use, false, State::Pass),
            (OperatorPlan::Install, false, State::Fail),
            (OperatorPlan::Install, true, State::Pass),
            (OperatorPlan::Missing, true, State::Fail),
        ] {
            let usual = IngressClass::Chosen("tailscale".into());
            assert_eq!(ingress((operator, &usual), credentials, &[]).state, state, "{operator:?} {credentials}");
        }
        let class = |class: IngressClass| ingress((OperatorPlan::Use, &class), true, &["networking".into()]);
        assert_eq!(class(IngressClass::Missing("ts".into(), Vec::new())).state, State::Fail);
        assert!(class(IngressClass::Ambiguous(vec!["a".into(), "b".into()])).hint.unwrap().contains("ingressClass"));
        let usual = || IngressClass::Chosen("tailscale".into());
        assert_eq!(class(usual()).detail, "IngressClass tailscale, proxies in namespace networking");
        let detail = ingress((OperatorPlan::Install, &usual()), false, &[]).detail;
        assert!(!detail.contains("IngressClass"), "an IngressClass may exist: {detail}");
    }

    #[test]
    fn an_old_kubernetes_fails() {
        assert_eq!(version("1.24.17").state, State::Fail);
        assert_eq!(version("1.25.0").state, State::Pass);
    }
}

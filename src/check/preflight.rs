//! Rows that can be judged before anything is changed.

use crate::cluster::{Cluster, ClusterError};
use crate::config::{OperatorMode, Settings, nearest};
use crate::event::{CheckResult, Verdict};
use crate::stack::{TAILSCALE_NAMESPACE, TAILSCALE_SECRET};

/// The oldest Kubernetes that every chart of the catalogue takes (kube-prometheus-stack: >=1.25.0-0).
const OLDEST: (u64, u64) = (1, 25);

/// Judges the cluster against the settings; reads only.
pub async fn run(cluster: &Cluster, settings: &Settings) -> Result<Vec<CheckResult>, ClusterError> {
    let (classes, ingress_classes, operator_secret) = futures::try_join!(
        cluster.storage_classes(),
        cluster.ingress_classes(),
        cluster.secret(TAILSCALE_NAMESPACE, TAILSCALE_SECRET),
    )?;
    let credentials = operator_secret.is_some() || settings.tailscale.oauth_client_secret.is_some();
    Ok(vec![
        version(cluster.version()),
        storage(&classes, settings.storage.class.as_ref().map(|class| class.as_str())),
        ingress(ingress_classes.iter().any(|class| class == "tailscale"), settings.tailscale.operator, credentials),
    ])
}

pub(super) fn row(id: &str, statement: &str, verdict: Verdict, detail: String, hint: Option<String>) -> CheckResult {
    CheckResult {
        id: id.into(),
        group: "before anything is changed".into(),
        hop: None,
        statement: statement.into(),
        verdict,
        detail,
        hint: hint.filter(|_| verdict != Verdict::Pass),
        docs: None,
        seconds: 0.0,
    }
}

fn version(found: &str) -> CheckResult {
    let parsed = semver::Version::parse(found).ok();
    let verdict = match parsed.map(|version| (version.major, version.minor)) {
        Some(version) if version >= OLDEST => Verdict::Pass,
        Some(_) => Verdict::Fail,
        None => Verdict::Warn,
    };
    let hint = format!("upgrade the cluster to Kubernetes {}.{} or later", OLDEST.0, OLDEST.1);
    row("kubernetes-version", "Kubernetes is new enough for every chart", verdict, found.to_owned(), Some(hint))
}

fn storage(classes: &[(String, bool)], asked: Option<&str>) -> CheckResult {
    let statement = "the volumes have a StorageClass";
    let names = || classes.iter().map(|(name, _)| name.as_str());
    let (verdict, detail, hint) = match (asked, classes.iter().find(|(_, default)| *default)) {
        (Some(asked), _) if names().any(|name| name == asked) => (Verdict::Pass, asked.to_owned(), None),
        (Some(asked), _) => {
            let near = nearest(asked, names()).map(|name| format!("did you mean {name}? "));
            let all: Vec<&str> = names().collect();
            let hint = format!("{}the cluster has: {}", near.unwrap_or_default(), all.join(", "));
            (Verdict::Fail, format!("the cluster has no StorageClass {asked}"), Some(hint))
        }
        (None, Some((name, _))) => (Verdict::Pass, format!("{name}, the cluster's default"), None),
        (None, None) => {
            let all: Vec<&str> = names().collect();
            let hint = if all.is_empty() {
                "install a storage provisioner first".to_owned()
            } else {
                format!("set storage.class to one of: {}", all.join(", "))
            };
            (Verdict::Fail, "none is asked for and the cluster has no default one".into(), Some(hint))
        }
    };
    row("storage-class", statement, verdict, detail, hint)
}

fn ingress(has_class: bool, mode: OperatorMode, credentials: bool) -> CheckResult {
    let statement = "the tailnet's Ingress has somebody who serves it";
    let install = mode == OperatorMode::Install || (mode == OperatorMode::Auto && !has_class);
    let (verdict, detail, hint) = match (install, has_class, credentials) {
        (false, true, _) => (Verdict::Pass, "IngressClass tailscale", None),
        (true, _, true) => (Verdict::Pass, "the Tailscale operator will be installed", None),
        (true, _, false) => (
            Verdict::Fail,
            "there is no IngressClass tailscale, and no OAuth client to install the operator with",
            Some("answer tailscale.oauth.clientId and tailscale.oauth.clientSecret, or install the operator yourself"),
        ),
        (false, false, _) => (
            Verdict::Fail,
            "there is no IngressClass tailscale",
            Some("install the Tailscale operator, or answer tailscale.operator with install"),
        ),
    };
    row("ingress-class", statement, verdict, detail.to_owned(), hint.map(str::to_owned))
}

/// helm was found and is new enough, or the command had ended before.
pub fn helm_found(version: &str, program: &str) -> CheckResult {
    row("helm", "helm is there and new enough", Verdict::Pass, format!("{version}, {program}"), None)
}

/// Every chart was fetched, has the locked digest and renders, or the command had ended before.
pub fn charts_rendered(count: usize, notices: &[String]) -> CheckResult {
    let verdict = if notices.is_empty() { Verdict::Pass } else { Verdict::Warn };
    let detail = if notices.is_empty() { format!("{count} charts") } else { notices.join("; ") };
    let hint = "read what the chart brings, and correct what it ignores below `values:`".to_owned();
    row("charts", "every chart can be fetched and renders as expected", verdict, detail, Some(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_without_a_usable_storage_class_fails_before_the_change() {
        let classes = [("standard".to_owned(), false), ("fast".to_owned(), false)];
        assert_eq!(storage(&classes, None).verdict, Verdict::Fail);
        assert_eq!(storage(&classes, Some("fast")).verdict, Verdict::Pass);
        let near = storage(&classes, Some("standart"));
        assert!(near.hint.unwrap().contains("did you mean standard?"));
        assert_eq!(storage(&[("standard".to_owned(), true)], None).verdict, Verdict::Pass);
    }

    #[test]
    fn somebody_must_serve_the_ingress() {
        for (has_class, mode, credentials, verdict) in [
            (true, OperatorMode::Auto, false, Verdict::Pass),
            (false, OperatorMode::Auto, false, Verdict::Fail),
            (false, OperatorMode::Auto, true, Verdict::Pass),
            (false, OperatorMode::Present, true, Verdict::Fail),
            (true, OperatorMode::Install, false, Verdict::Fail),
        ] {
            assert_eq!(ingress(has_class, mode, credentials).verdict, verdict, "{has_class} {mode:?} {credentials}");
        }
    }

    #[test]
    fn an_old_kubernetes_is_refused() {
        assert_eq!(version("1.24.17").verdict, Verdict::Fail);
        assert_eq!(version("1.25.0").verdict, Verdict::Pass);
    }
}

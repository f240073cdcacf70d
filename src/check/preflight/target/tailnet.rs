//! The tailnet as this machine and the cluster's Ingresses report it: its name, HTTPS certificates, and the device with
//! Grafana's name. Skipped if neither is on a tailnet.

use serde_json::Value;

use crate::check::preflight::target::intent::Intent;
use crate::check::preflight::target::tailnet_status::TailnetStatus;
use crate::check::row::Finding;
use crate::cluster::{Cluster, ClusterError};
use crate::config::nearest;

/// What was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Tailnet {
    /// The configured name.
    pub(super) configured: String,
    /// The configured DNS name of Grafana.
    pub(super) address: String,
    pub(super) machine: Option<TailnetStatus>,
    /// `namespace/name` of our own Ingress.
    pub(super) own: String,
    /// The cluster's Ingresses on the tailnet: (`namespace/name`, DNS name).
    pub(super) served: Vec<(String, String)>,
}

/// Reads the cluster's Ingresses; the caller has read this machine's status.
pub(super) async fn read(cluster: &Cluster, intent: &Intent<'_>) -> Result<Tailnet, ClusterError> {
    let (configured, address) = (intent.settings.tailnet.as_str().to_owned(), intent.settings.grafana_fqdn());
    let own = format!("{}/grafana", intent.settings.namespace);
    let machine = intent.machine.cloned();
    let classes = cluster.tailscale_classes().await?;
    let ingresses = cluster.list("networking.k8s.io/v1", "Ingress", None, None).await?;
    let class = |ingress: &&Value| ingress.pointer("/spec/ingressClassName").and_then(Value::as_str).map(str::to_owned);
    let served = ingresses.iter().filter(|ingress| class(ingress).is_some_and(|class| classes.contains(&class)));
    let served = served.filter_map(|ingress| {
        let text = |path: &str| ingress.pointer(path).and_then(Value::as_str);
        let key = format!("{}/{}", text("/metadata/namespace")?, text("/metadata/name")?);
        Some((key, text("/status/loadBalancer/ingress/0/hostname")?.to_owned()))
    });
    let served = served.collect();
    Ok(Tailnet { configured, address, machine, own, served })
}

pub(super) fn judge(tailnet: &Tailnet) -> Finding {
    let configured = tailnet.configured.as_str();
    let is_of_it = |name: &str| name.strip_suffix(configured).is_some_and(|rest| rest.ends_with('.'));
    let others: Vec<_> = tailnet.served.iter().filter(|(_, name)| !is_of_it(name)).collect();
    if let (Some((key, name)), true) = (others.first(), others.len() == tailnet.served.len()) {
        let suffix = name.split_once('.').map_or("", |(_, suffix)| suffix);
        return Finding::fail(format!(
            "the answers have {configured}, but this cluster's Tailscale operator is on {suffix}: Ingress {key} has {name}"
        ))
        .hinting(format!("set `tailnet` to {suffix}"));
    }
    let confirmed = tailnet.served.iter().find(|(_, name)| is_of_it(name));
    match (&tailnet.machine, confirmed) {
        (Some(machine), _) if machine.suffix == configured => by_machine(machine, tailnet),
        (_, Some((key, name))) => Finding::pass(format!("Ingress {key} has {name}")),
        (Some(machine), None) => {
            let near = nearest(configured, [machine.suffix.as_str()]).map(|_| "; is this a typo?").unwrap_or_default();
            Finding::warn(format!("the answers have {configured}, this machine is on {}{near}", machine.suffix))
        }
        (None, None) => {
            Finding::skip("not tested: this machine is on no tailnet, and the cluster has no other Ingress on one")
        }
    }
}

/// This machine is on the configured tailnet, so its status is valid for Grafana.
fn by_machine(machine: &TailnetStatus, tailnet: &Tailnet) -> Finding {
    let configured = tailnet.configured.as_str();
    if !machine.has_magic_dns {
        return Finding::fail(format!("MagicDNS is disabled in {configured}: {} would not resolve", tailnet.address))
            .hinting("enable MagicDNS on the DNS page of the Tailscale admin console");
    }
    if !machine.has_certificates {
        return Finding::fail(format!("HTTPS certificates are disabled in {configured}"))
            .hinting("enable HTTPS on the DNS page of the Tailscale admin console (requires MagicDNS)");
    }
    let is_ours = tailnet.served.iter().any(|(key, _)| *key == tailnet.own);
    if machine.names.contains(&tailnet.address) && !is_ours {
        return Finding::warn(format!(
            "a device of the tailnet already has the name {}: Grafana would get the suffix -1",
            tailnet.address
        ))
        .hinting(
            "if it is from an earlier installation, continue; otherwise remove it on the Machines page of the Tailscale \
             admin console, or set another grafana.hostname",
        );
    }
    Finding::pass(format!("{configured}, as this machine's tailscale reports"))
}

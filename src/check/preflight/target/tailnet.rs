//! What this machine and the cluster know of the tailnet: its name, whether it gives certificates, and who has
//! Grafana's name. Neither has to know anything, and then nothing is said.

use serde_json::Value;

use crate::check::preflight::target::intent::Intent;
use crate::check::preflight::target::tailnet_status::TailnetStatus;
use crate::check::row::Finding;
use crate::cluster::{Cluster, ClusterError};
use crate::config::nearest;

/// Class of the Ingresses that the Tailscale operator serves.
const CLASS: &str = "tailscale";

/// What was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Tailnet {
    /// The asked name.
    pub(super) asked: String,
    /// The asked name of Grafana in it.
    pub(super) address: String,
    pub(super) machine: Option<TailnetStatus>,
    /// `namespace/name` of our own Ingress.
    pub(super) own: String,
    /// Names that the cluster's Ingresses of the tailnet have: (`namespace/name`, name on the tailnet).
    pub(super) served: Vec<(String, String)>,
}

/// Names on the tailnet that the cluster's Ingresses have; this machine was asked before.
pub(super) async fn read(cluster: &Cluster, intent: &Intent<'_>) -> Result<Tailnet, ClusterError> {
    let (asked, address) = (intent.settings.tailnet.as_str().to_owned(), intent.settings.grafana_fqdn());
    let own = format!("{}/grafana", intent.settings.namespace);
    let machine = intent.machine.cloned();
    let ingresses = cluster.list("networking.k8s.io/v1", "Ingress", None, None).await?;
    let served = ingresses.iter().filter(|ingress| ingress.pointer("/spec/ingressClassName") == Some(&CLASS.into()));
    let served = served.filter_map(|ingress| {
        let text = |path: &str| ingress.pointer(path).and_then(Value::as_str);
        let place = format!("{}/{}", text("/metadata/namespace")?, text("/metadata/name")?);
        Some((place, text("/status/loadBalancer/ingress/0/hostname")?.to_owned()))
    });
    let served = served.collect();
    Ok(Tailnet { asked, address, machine, own, served })
}

pub(super) fn judge(tailnet: &Tailnet) -> Finding {
    let asked = tailnet.asked.as_str();
    let is_of_it = |name: &str| name.strip_suffix(asked).is_some_and(|rest| rest.ends_with('.'));
    let others: Vec<_> = tailnet.served.iter().filter(|(_, name)| !is_of_it(name)).collect();
    if let (Some((place, name)), true) = (others.first(), others.len() == tailnet.served.len()) {
        let suffix = name.split_once('.').map_or("", |(_, suffix)| suffix);
        return Finding::fail(format!(
            "the answers say {asked}, but this cluster's Tailscale operator serves {suffix}: Ingress {place} has {name} there"
        ))
        .hinting(format!("answer tailnet with {suffix}"));
    }
    let confirmed = tailnet.served.iter().find(|(_, name)| is_of_it(name));
    match (&tailnet.machine, confirmed) {
        (Some(machine), _) if machine.suffix == asked => by_machine(machine, tailnet),
        (_, Some((place, name))) => Finding::pass(format!("Ingress {place} has {name} in it")),
        (Some(machine), None) => {
            let near = nearest(asked, [machine.suffix.as_str()]).map(|_| "; is that a slip?").unwrap_or_default();
            Finding::warn(format!("the answers say {asked}, this machine is on {}{near}", machine.suffix))
        }
        (None, None) => {
            Finding::skip("not tested: this machine is on no tailnet, and the cluster has no other Ingress on one")
        }
    }
}

/// This machine is on the asked tailnet, so that what it says holds for Grafana too.
fn by_machine(machine: &TailnetStatus, tailnet: &Tailnet) -> Finding {
    let asked = tailnet.asked.as_str();
    if !machine.resolves_names {
        return Finding::fail(format!("MagicDNS is disabled in {asked}, so {} would not resolve", tailnet.address))
            .hinting("turn MagicDNS on, on the DNS page of the Tailscale admin console");
    }
    if !machine.gives_certificates {
        return Finding::fail(format!("HTTPS certificates are off in {asked}"))
            .hinting("turn HTTPS on, on the DNS page of the Tailscale admin console (MagicDNS has to be on for that)");
    }
    let is_ours = tailnet.served.iter().any(|(place, _)| *place == tailnet.own);
    if machine.names.contains(&tailnet.address) && !is_ours {
        return Finding::warn(format!(
            "a machine of the tailnet has the name {} already: Grafana would get it with -1 behind",
            tailnet.address
        ))
        .hinting(
            "where it is what an earlier installation left, go on; else remove it on the Machines page of the Tailscale \
             admin console, or answer grafana.hostname with another name",
        );
    }
    Finding::pass(format!("{asked}, as this machine's tailscale says"))
}

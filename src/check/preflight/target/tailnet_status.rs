//! The tailnet of this machine, as its tailscale reports it.

use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::process::{self, Call, Ending, Environment, Input};

/// Enough for a local daemon.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes; far more than the status of a large tailnet.
const MAX_BYTES: usize = 64 << 20;

/// The status of this machine's tailscale.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TailnetStatus {
    /// Its MagicDNS suffix, e.g. `tail1a2b.ts.net`.
    pub suffix: String,
    /// Whether HTTPS certificates are enabled.
    pub has_certificates: bool,
    /// Whether MagicDNS is enabled.
    pub has_magic_dns: bool,
    /// DNS names of its other devices.
    pub names: Vec<String>,
}

impl TailnetStatus {
    /// Runs `tailscale status --json`; `None`: this machine is on no tailnet.
    pub async fn read(environment: &Environment) -> Option<TailnetStatus> {
        let call = Call {
            program: "tailscale".into(),
            arguments: vec!["status".into(), "--json".into()],
            environment: environment.clone(),
            removed: Vec::new(),
            added: Vec::new(),
            input: Input::Nothing,
            max_bytes: MAX_BYTES,
            ending: Ending::Killed { after: TIMEOUT },
            need: None,
        };
        let output = process::run(call, &CancellationToken::new()).await.ok()?;
        TailnetStatus::of(&serde_json::from_slice(&output.stdout).ok()?)
    }

    /// From its JSON (tailscale, ipn/ipnstate/ipnstate.go). Its DNS names end with a dot.
    pub(in crate::check) fn of(status: &Value) -> Option<TailnetStatus> {
        let name = |value: &Value| value.as_str().map(|text| text.trim_end_matches('.').to_owned());
        let suffix = name(&status["MagicDNSSuffix"]).or_else(|| name(&status["CurrentTailnet"]["MagicDNSSuffix"]))?;
        let is_running = status["BackendState"].as_str().is_none_or(|state| state == "Running");
        let peers = status["Peer"].as_object().into_iter().flatten();
        (is_running && !suffix.is_empty()).then(|| TailnetStatus {
            suffix,
            has_certificates: status["CertDomains"].as_array().is_some_and(|domains| !domains.is_empty()),
            has_magic_dns: status["CurrentTailnet"]["MagicDNSEnabled"] != false,
            names: peers.filter_map(|(_, peer)| name(&peer["DNSName"])).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_status_of_old_and_new_clients_is_read() {
        let old = json!({"MagicDNSSuffix": "tail1.ts.net.", "CertDomains": ["laptop.tail1.ts.net"]});
        let machine = TailnetStatus::of(&old).unwrap();
        assert_eq!(
            (machine.suffix.as_str(), machine.has_certificates, machine.has_magic_dns),
            ("tail1.ts.net", true, true)
        );
        let new = json!({
            "BackendState": "Running",
            "CurrentTailnet": {"MagicDNSSuffix": "tail1.ts.net", "MagicDNSEnabled": false},
            "CertDomains": null,
            "Peer": {"nodekey:1": {"DNSName": "grafana.tail1.ts.net."}},
        });
        let machine = TailnetStatus::of(&new).unwrap();
        assert_eq!((machine.has_certificates, machine.has_magic_dns), (false, false));
        assert_eq!(machine.names, ["grafana.tail1.ts.net"]);
        assert_eq!(TailnetStatus::of(&json!({"MagicDNSSuffix": ""})), None);
        assert_eq!(TailnetStatus::of(&json!({"MagicDNSSuffix": "tail1.ts.net", "BackendState": "Stopped"})), None);
    }
}

//! What this machine and the cluster can tell, so that a person need not.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What was found before the first question.
#[derive(Clone, Debug, Default)]
pub struct Detected {
    /// MagicDNS suffix of this machine's tailnet.
    pub tailnet: Option<String>,
    /// StorageClasses, and whether each is the default.
    pub storage_classes: Vec<(String, bool)>,
    /// IngressClasses.
    pub ingress_classes: Vec<String>,
    /// An earlier run left a client secret that is kept.
    pub client_secret_in_cluster: bool,
}

/// A local daemon answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(2);

/// `.MagicDNSSuffix` of `tailscale status --json`, where this machine is on a tailnet.
pub fn detect_tailnet() -> Option<String> {
    let mut child = Command::new("tailscale")
        .args(["status", "--json", "--peers=false"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let started = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if started.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let status: serde_json::Value = serde_json::from_reader(child.stdout.take()?).ok()?;
    suffix(&status)
}

fn suffix(status: &serde_json::Value) -> Option<String> {
    let text = status["MagicDNSSuffix"].as_str().or_else(|| status["CurrentTailnet"]["MagicDNSSuffix"].as_str())?;
    Some(text.trim_end_matches('.').to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_is_read_from_old_and_new_clients() {
        assert_eq!(suffix(&serde_json::json!({"MagicDNSSuffix": "tail1.ts.net."})).as_deref(), Some("tail1.ts.net"));
        let new = serde_json::json!({"CurrentTailnet": {"MagicDNSSuffix": "tail1.ts.net"}});
        assert_eq!(suffix(&new).as_deref(), Some("tail1.ts.net"));
        assert_eq!(suffix(&serde_json::json!({"MagicDNSSuffix": ""})), None);
    }
}

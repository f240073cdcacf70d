//! Starts the user's browser, which outlives this process and gets none of our secrets.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::process::{Environment, in_own_group};

/// How long to wait for a launcher's immediate failure, before the next one is tried.
const OBSERVATION: Duration = Duration::from_millis(250);
const PAUSE: Duration = Duration::from_millis(20);

/// Opens an address with the first launcher of this desktop that works; the error is the last one's.
pub async fn open(address: &str, environment: &Environment) -> std::io::Result<()> {
    let mut failed = std::io::Error::from(std::io::ErrorKind::NotFound);
    for mut launcher in open::commands(address) {
        match start(&mut launcher, environment) {
            Ok(child) => match has_accepted(child).await {
                true => return Ok(()),
                false => failed = std::io::Error::other("the launcher failed"),
            },
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn start(launcher: &mut Command, environment: &Environment) -> std::io::Result<Child> {
    launcher.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    in_own_group(launcher, environment).spawn()
}

/// A launcher that still runs after a moment, or succeeded, has accepted the URL.
async fn has_accepted(mut child: Child) -> bool {
    for _ in 0..OBSERVATION.as_millis() / PAUSE.as_millis() {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => tokio::time::sleep(PAUSE).await,
            Err(_) => return true,
        }
    }
    // Reaps the child; the thread does not delay our exit.
    std::thread::spawn(move || child.wait());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_launcher_gets_our_environment_without_our_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let dump = folder.path().join("environment");
        let mut launcher = Command::new("/bin/sh");
        launcher.args(["-c", "env > \"$0\""]).arg(&dump);
        let environment = Environment::without(["CARGO_PKG_NAME".to_owned()]);
        let mut child = start(&mut launcher, &environment).unwrap();
        child.wait().unwrap();
        assert!(has_accepted(child).await);
        let text = std::fs::read_to_string(dump).unwrap();
        assert!(text.contains("CARGO_MANIFEST_DIR=") && !text.contains("CARGO_PKG_NAME="), "{text}");
    }

    #[tokio::test]
    async fn a_launcher_that_fails_at_once_is_detected() {
        let mut launcher = Command::new("/bin/sh");
        launcher.args(["-c", "exit 3"]);
        assert!(!has_accepted(start(&mut launcher, &Environment::default()).unwrap()).await);
    }
}

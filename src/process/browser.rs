//! The person's browser, started so that it outlives this process and gets none of our secrets.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::process::{Environment, in_own_group};

/// How long a launcher is watched for an immediate failure, after which the next one is tried.
const WATCHED: Duration = Duration::from_millis(250);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Opens an address with the first launcher of this desktop that works; the error is the last one's.
pub async fn open(address: &str, environment: &Environment) -> std::io::Result<()> {
    let mut failed = std::io::Error::from(std::io::ErrorKind::NotFound);
    for mut launcher in open::commands(address) {
        match start(&mut launcher, environment) {
            Ok(child) => match has_taken(child).await {
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
async fn has_taken(mut child: Child) -> bool {
    for _ in 0..WATCHED.as_millis() / LOOK_AGAIN.as_millis() {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => tokio::time::sleep(LOOK_AGAIN).await,
            Err(_) => return true,
        }
    }
    // So that no zombie is left; it holds back no exit.
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
        assert!(has_taken(child).await);
        let seen = std::fs::read_to_string(dump).unwrap();
        assert!(seen.contains("CARGO_MANIFEST_DIR=") && !seen.contains("CARGO_PKG_NAME="), "{seen}");
    }

    #[tokio::test]
    async fn a_launcher_that_fails_at_once_leaves_the_next_one() {
        let mut launcher = Command::new("/bin/sh");
        launcher.args(["-c", "exit 3"]);
        assert!(!has_taken(start(&mut launcher, &Environment::default()).unwrap()).await);
    }
}

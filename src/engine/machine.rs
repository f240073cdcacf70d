//! What this machine knows of runs: a file lock that a run holds together with every helm it started, so that a run
//! that was killed is known to be dead, and its helm to have ended, without waiting for the cluster's lock to go stale.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::cluster::Witness;
use crate::engine::journal::{state_folder, target_name};

/// The runs of this machine on one namespace of one cluster.
#[derive(Debug)]
pub struct Machine {
    path: Option<PathBuf>,
    identity: String,
    held: Mutex<Option<File>>,
}

impl Machine {
    /// Of a namespace of the cluster at `server`.
    pub fn open(server: &str, namespace: &str) -> Machine {
        let folder = state_folder();
        let path = folder.as_ref().map(|folder| folder.join(format!("run-{}.lock", target_name(server, namespace))));
        let identity = folder.as_deref().and_then(identity);
        // Without a folder to write to nothing can be known, so this machine is like no other.
        let (path, identity) = identity.map_or((None, random_name()), |identity| (path, identity));
        Machine { path, identity, held: Mutex::new(None) }
    }
}

impl Witness for Machine {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn is_alone(&self) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = self.path.as_ref().filter(|_| held.is_none()) else { return true };
        let Ok(file) = File::options().create(true).append(true).open(path) else { return true };
        if file.try_lock().is_err() {
            return false;
        }
        // Children keep the descriptor, and so the lock, for as long as they live.
        let _ = fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty()));
        *held = Some(file);
        true
    }
}

/// The name of this folder among all machines' folders: made once.
fn identity(folder: &Path) -> Option<String> {
    let path = folder.join("identity");
    let read = || std::fs::read_to_string(&path).ok().filter(|name| !name.trim().is_empty());
    if let Some(name) = read() {
        return Some(name.trim().to_owned());
    }
    std::fs::create_dir_all(folder).ok()?;
    let mut file = tempfile::NamedTempFile::new_in(folder).ok()?;
    std::io::Write::write_all(&mut file, random_name().as_bytes()).ok()?;
    // Of two runs that begin at once, the first names the folder.
    let _ = file.persist_noclobber(&path);
    read().map(|name| name.trim().to_owned())
}

fn random_name() -> String {
    format!("{:016x}", rand::random::<u64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(folder: &Path) -> Machine {
        let identity = identity(folder).unwrap();
        Machine { path: Some(folder.join("run.lock")), identity, held: Mutex::new(None) }
    }

    #[test]
    fn a_child_that_outlives_its_run_keeps_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (machine(folder.path()), machine(folder.path()));
        assert_eq!(first.identity(), second.identity());
        assert!(first.is_alone() && first.is_alone(), "a lock that is held is not taken from oneself");
        assert!(!second.is_alone());
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        drop(first);
        assert!(!second.is_alone(), "the child is still there");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(second.is_alone());
    }

    #[test]
    fn a_machine_that_keeps_nothing_is_like_no_other() {
        let machine = || Machine { path: None, identity: random_name(), held: Mutex::new(None) };
        assert!(machine().is_alone());
        assert_ne!(machine().identity(), machine().identity());
    }
}

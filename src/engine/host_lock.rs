//! What this machine knows of runs: a file lock that a run holds together with every helm it started, so that a run
//! that was killed is known to be dead, and its helm to have ended, without waiting for the cluster's lock to go stale.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use sha2::{Digest as _, Sha256};

use crate::cluster::{ClusterIdentity, HostLiveness};
use crate::engine::journal::{state_folder, target_name};

/// The runs of this machine on one namespace of one cluster.
#[derive(Debug)]
pub struct HostLock {
    file: Option<Arc<File>>,
    identity: String,
    /// An identity that no other run has, once the file turned out to take no lock.
    nameless: OnceLock<String>,
}

impl HostLock {
    /// Of a namespace of a cluster.
    pub fn open(cluster: &ClusterIdentity, namespace: &str) -> HostLock {
        let name = format!("run-{}.lock", target_name(cluster, namespace));
        state_folder().and_then(|folder| HostLock::within(&folder, &name)).unwrap_or_else(HostLock::unknown)
    }

    /// `None` where the folder cannot be written to.
    fn within(folder: &Path, name: &str) -> Option<HostLock> {
        let identity = format!("{}{}", identity(folder)?, running_system());
        let file = File::options().create(true).read(true).append(true).open(folder.join(name)).ok()?;
        Some(HostLock { file: Some(Arc::new(file)), identity, nameless: OnceLock::new() })
    }

    /// Where nothing can be known, this machine is like no other.
    fn unknown() -> HostLock {
        HostLock { file: None, identity: random_name(), nameless: OnceLock::new() }
    }

    /// What a child must hold to count as this run's after its end: the lock is of the open file and of whoever has it
    /// (flock(2)).
    pub fn lock(&self) -> Option<Arc<File>> {
        self.file.clone()
    }

    /// What an attempt to lock tells.
    fn judge(&self, attempt: Result<(), TryLockError>) -> bool {
        match attempt {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            // A file system without locks: nothing is known of other runs, so no identity may tell of one.
            Err(TryLockError::Error(_)) => {
                self.nameless.get_or_init(random_name);
                true
            }
        }
    }
}

impl HostLiveness for HostLock {
    fn identity(&self) -> &str {
        self.nameless.get().unwrap_or(&self.identity)
    }

    fn is_alone(&self) -> bool {
        // A lock that is held is not taken from oneself.
        self.file.as_ref().is_none_or(|file| self.judge(file.try_lock()))
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

/// Which boot of which machine, and which container on it: a state folder that was copied with a disk, an image or a
/// cache names another one. Linux: random/boot_id of proc(5), machine-id(5), and the inodes of the namespaces(7) in which
/// process ids and mounts are the same. Elsewhere the host's name.
fn running_system() -> String {
    let text = |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let inode = |path: &str| std::fs::metadata(path).ok().map(|facts| facts.ino().to_string());
    let parts = [
        text("/proc/sys/kernel/random/boot_id"),
        text("/etc/machine-id"),
        inode("/proc/self/ns/pid"),
        inode("/proc/self/ns/mnt"),
        nix::unistd::gethostname().ok().map(|name| name.to_string_lossy().into_owned()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let digest = Sha256::digest(parts.join("\n"));
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn random_name() -> String {
    format!("{:016x}", rand::random::<u64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::process::{Child, Command, Stdio};

    fn machine(folder: &Path) -> HostLock {
        HostLock::within(folder, "run.lock").unwrap()
    }

    fn sleep(stdin: Stdio) -> Child {
        Command::new("sleep").arg("60").stdin(stdin).spawn().unwrap()
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// A child of another test has everything open until it becomes its program.
    fn becomes_alone(machine: &HostLock) -> bool {
        (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            machine.is_alone()
        })
    }

    #[test]
    fn a_child_that_was_given_the_lock_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (machine(folder.path()), machine(folder.path()));
        assert_eq!(first.identity(), second.identity());
        assert!(first.is_alone() && first.is_alone(), "a lock that is held is not taken from oneself");
        assert!(!second.is_alone());
        let child = sleep(first.lock().unwrap().try_clone().unwrap().into());
        drop(first);
        assert!(!second.is_alone(), "the child is still there");
        end(child);
        assert!(becomes_alone(&second));
    }

    #[test]
    fn a_child_that_was_not_given_the_lock_does_not_keep_it() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (machine(folder.path()), machine(folder.path()));
        assert!(first.is_alone());
        let child = sleep(Stdio::null());
        assert!(!second.is_alone());
        drop(first);
        assert!(becomes_alone(&second));
        end(child);
    }

    #[test]
    fn a_machine_that_keeps_nothing_is_like_no_other() {
        assert!(HostLock::unknown().is_alone());
        assert_ne!(HostLock::unknown().identity(), HostLock::unknown().identity());
    }

    #[test]
    fn without_locks_nothing_is_known_and_nothing_is_taken_over_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (machine(folder.path()), machine(folder.path()));
        assert!(!first.judge(Err(TryLockError::WouldBlock)));
        assert_eq!(first.identity(), second.identity());
        assert!(first.judge(Err(TryLockError::Error(std::io::ErrorKind::Unsupported.into()))));
        assert_ne!(first.identity(), second.identity());
        assert_eq!(first.identity(), first.identity());
    }
}

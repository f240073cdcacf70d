//! The host lock: a file lock that a run holds together with every helm process it started. It shows that a killed run
//! and its helm processes have ended, without waiting until the lease expires.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use sha2::{Digest as _, Sha256};

use crate::cluster::{ClusterIdentity, HostLiveness};
use crate::engine::journal::{state_folder, target_name};

/// The lock of this machine for one namespace of one cluster.
#[derive(Debug)]
pub struct HostLock {
    file: Option<Arc<File>>,
    identity: String,
    /// A random identity, if the file system has no locks.
    random_identity: OnceLock<String>,
}

impl HostLock {
    /// The lock for a namespace of a cluster.
    pub fn open(cluster: &ClusterIdentity, namespace: &str) -> HostLock {
        let name = format!("run-{}.lock", target_name(cluster, namespace));
        state_folder().and_then(|folder| HostLock::within(&folder, &name)).unwrap_or_else(HostLock::unknown)
    }

    /// `None` if the folder is not writable.
    fn within(folder: &Path, name: &str) -> Option<HostLock> {
        let identity = format!("{}{}", identity(folder)?, running_system());
        let file = File::options().create(true).read(true).append(true).open(folder.join(name)).ok()?;
        Some(HostLock { file: Some(Arc::new(file)), identity, random_identity: OnceLock::new() })
    }

    /// Without a state folder the identity is random: other runs are unknown.
    fn unknown() -> HostLock {
        HostLock { file: None, identity: random_name(), random_identity: OnceLock::new() }
    }

    /// The open file, to be inherited by child processes: the lock belongs to it until the last process closes it
    /// (flock(2)).
    pub fn lock(&self) -> Option<Arc<File>> {
        self.file.clone()
    }

    /// Whether an attempt to lock shows that no other run exists.
    fn is_free(&self, attempt: Result<(), TryLockError>) -> bool {
        match attempt {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            // A file system without locks: other runs are unknown, so the identity must not match theirs.
            Err(TryLockError::Error(_)) => {
                self.random_identity.get_or_init(random_name);
                true
            }
        }
    }
}

impl HostLiveness for HostLock {
    fn identity(&self) -> &str {
        self.random_identity.get().unwrap_or(&self.identity)
    }

    fn is_alone(&self) -> bool {
        // Locking again a file that this process has locked succeeds.
        self.file.as_ref().is_none_or(|file| self.is_free(file.try_lock()))
    }
}

/// A random name of this folder, created once.
fn identity(folder: &Path) -> Option<String> {
    let path = folder.join("identity");
    let read = || std::fs::read_to_string(&path).ok().filter(|name| !name.trim().is_empty());
    if let Some(name) = read() {
        return Some(name.trim().to_owned());
    }
    std::fs::create_dir_all(folder).ok()?;
    let mut file = tempfile::NamedTempFile::new_in(folder).ok()?;
    std::io::Write::write_all(&mut file, random_name().as_bytes()).ok()?;
    // Of two runs that start at the same time, the first sets the name.
    let _ = file.persist_noclobber(&path);
    read().map(|name| name.trim().to_owned())
}

/// Identifies the boot, the machine and the container: a state folder can be copied with a disk, an image or a cache.
/// Linux: random/boot_id of proc(5), machine-id(5), and the inodes of the pid and mnt namespaces(7). On other systems
/// the host name.
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
    fn a_child_that_inherits_the_lock_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (machine(folder.path()), machine(folder.path()));
        assert_eq!(first.identity(), second.identity());
        assert!(first.is_alone() && first.is_alone(), "locking again succeeds");
        assert!(!second.is_alone());
        let child = sleep(first.lock().unwrap().try_clone().unwrap().into());
        drop(first);
        assert!(!second.is_alone(), "the child still runs");
        end(child);
        assert!(becomes_alone(&second));
    }

    #[test]
    fn a_child_without_the_lock_does_not_keep_it() {
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
    fn a_machine_without_state_has_a_random_identity() {
        assert!(HostLock::unknown().is_alone());
        assert_ne!(HostLock::unknown().identity(), HostLock::unknown().identity());
    }

    #[test]
    fn without_file_locks_the_identity_is_random() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (machine(folder.path()), machine(folder.path()));
        assert!(!first.is_free(Err(TryLockError::WouldBlock)));
        assert_eq!(first.identity(), second.identity());
        assert!(first.is_free(Err(TryLockError::Error(std::io::ErrorKind::Unsupported.into()))));
        assert_ne!(first.identity(), second.identity());
        assert_eq!(first.identity(), first.identity());
    }
}

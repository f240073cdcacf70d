//! The kubeconfig for every child of a run: one context, written once, in a folder of the run. Changes of the user's
//! kubeconfig during the run do not affect the children.
//!
//! The folder (0700) holds the file (0600) and a lock that is held until the run ends; its name has the run's process id.
//! It is removed with its last user. The next run removes the folders of killed runs, once their process has ended and no
//! helm can need the file any more.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::unistd::{Pid, geteuid};
use tempfile::TempDir;

const PREFIX: &str = "tailwatch-run-";
const FILE: &str = "kubeconfig";
const LOCK: &str = "lock";

/// The kubeconfig of one cluster for children. Cheap to clone; the file is removed with the last clone.
#[derive(Clone, Debug)]
pub struct ClusterAccess {
    folder: Arc<RunFolder>,
    context: String,
}

#[derive(Debug)]
struct RunFolder {
    folder: Option<TempDir>,
    /// Held until the run ends (flock(2)).
    _lock: File,
    /// Running children that must not be killed.
    needed: AtomicUsize,
}

/// Keeps the file for a child that must end by itself. If dropped without [`Need::over`], the file stays: the child may
/// still run.
#[derive(Debug)]
pub struct Need {
    folder: Arc<RunFolder>,
}

impl ClusterAccess {
    /// Writes a kubeconfig with one context into a folder of this run, below the first writable of these parents, and
    /// removes the folders of killed runs there.
    pub fn write(kubeconfig: &str, context: &str, parents: &[PathBuf]) -> io::Result<ClusterAccess> {
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        for parent in parents {
            sweep(parent);
            match RunFolder::below(parent, kubeconfig) {
                Ok(folder) => return Ok(ClusterAccess { folder: Arc::new(folder), context: context.to_owned() }),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Path of the kubeconfig.
    pub fn path(&self) -> PathBuf {
        self.folder().join(FILE)
    }

    /// The private folder of the run that has it.
    pub fn folder(&self) -> &Path {
        self.folder.folder.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// Name of its context.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// Keeps the file for a child that starts now and must end by itself, for this duration even after this process has
    /// ended.
    pub fn needed_for(&self, duration: Duration) -> Need {
        self.folder.needed.fetch_add(1, Ordering::SeqCst);
        let until = SystemTime::now().checked_add(duration);
        // Later runs read the file's modification time; without it they only remove the file of a killed run earlier.
        let _ = File::open(self.path()).and_then(|file| {
            let known = file.metadata()?.modified()?;
            file.set_modified(until.map_or(known, |until| until.max(known)))
        });
        Need { folder: self.folder.clone() }
    }
}

impl Need {
    /// The child has ended.
    pub fn over(self) {
        self.folder.needed.fetch_sub(1, Ordering::SeqCst);
    }
}

impl RunFolder {
    fn below(parent: &Path, kubeconfig: &str) -> io::Result<RunFolder> {
        if !parent.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        let folder = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        let create =
            |name: &str| OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.path().join(name));
        let lock = create(LOCK)?;
        // On a file system without locks, only the process id is used.
        let _ = lock.try_lock();
        create(FILE)?.write_all(kubeconfig.as_bytes())?;
        Ok(RunFolder { folder: Some(folder), _lock: lock, needed: AtomicUsize::new(0) })
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if let (Some(mut folder), true) = (self.folder.take(), self.needed.load(Ordering::SeqCst) > 0) {
            folder.disable_cleanup(true);
        }
    }
}

/// Removes the folders of killed runs.
fn sweep(parent: &Path) {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    for folder in entries.map(|entry| entry.path()).filter(|folder| is_abandoned(folder)) {
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// Whether it is the folder of an ended run with a file that no child can need.
fn is_abandoned(folder: &Path) -> bool {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse().ok());
    let Some(owner) = owner.map(Pid::from_raw) else { return false };
    let is_ours =
        std::fs::symlink_metadata(folder).is_ok_and(|facts| facts.is_dir() && facts.uid() == geteuid().as_raw());
    is_ours && !is_alive(owner) && !is_locked(&folder.join(LOCK)) && !is_needed(&folder.join(FILE))
}

fn is_alive(process: Pid) -> bool {
    !matches!(nix::sys::signal::kill(process, None), Err(Errno::ESRCH))
}

/// Detects a run in another container, with processes that are not visible here.
fn is_locked(lock: &Path) -> bool {
    File::open(lock).is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

fn is_needed(file: &Path) -> bool {
    let until = std::fs::metadata(file).and_then(|facts| facts.modified());
    until.is_ok_and(|until| until > SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(parent: &Path) -> ClusterAccess {
        ClusterAccess::write("kind: Config", "dev", &[parent.to_owned()]).unwrap()
    }

    fn entries(parent: &Path) -> usize {
        std::fs::read_dir(parent).unwrap().count()
    }

    /// The folder of a killed run: its process has ended.
    fn left_by_a_killed_run(parent: &Path) -> PathBuf {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let owner = child.id();
        child.wait().unwrap();
        let folder = parent.join(format!("{PREFIX}{owner}-x"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(FILE), "kind: Config").unwrap();
        std::fs::write(folder.join(LOCK), "").unwrap();
        folder
    }

    #[test]
    fn the_file_is_private_and_removed_with_its_last_user() {
        let base = tempfile::tempdir().unwrap();
        let parent = base.path().join("deep/runs");
        let access = write(&parent);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(std::fs::read_to_string(access.path()).unwrap(), "kind: Config");
        assert_eq!((mode(&access.path()), mode(access.path().parent().unwrap())), (0o600, 0o700));
        let other = access.clone();
        drop(access);
        assert!(other.path().exists());
        drop(other);
        assert_eq!(entries(&parent), 0);
    }

    #[test]
    fn the_first_writable_parent_is_used() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        std::fs::write(&file, "").unwrap();
        let parents = [file.join("below"), base.path().join("next")];
        let access = ClusterAccess::write("", "dev", &parents).unwrap();
        assert!(access.path().starts_with(&parents[1]));
    }

    #[test]
    fn a_child_that_may_still_read_the_file_keeps_it() {
        let base = tempfile::tempdir().unwrap();
        let access = write(base.path());
        let path = access.path();
        access.needed_for(Duration::from_secs(60)).over();
        drop(access.needed_for(Duration::from_secs(3600)));
        drop(access);
        assert!(path.exists() && is_needed(&path));
        let again = write(base.path());
        drop(again.needed_for(Duration::ZERO));
        again.needed_for(Duration::ZERO);
    }

    /// Whether later runs remove it. A child of another test keeps every lock open until its exec.
    fn is_swept(parent: &Path, folder: &Path) -> bool {
        (0..100).any(|_| {
            drop(write(parent));
            std::thread::sleep(Duration::from_millis(20));
            !folder.exists()
        })
    }

    #[test]
    fn the_folder_of_a_killed_run_is_removed_once_no_child_can_need_it() {
        let base = tempfile::tempdir().unwrap();
        let running = write(base.path());
        let left = left_by_a_killed_run(base.path());
        let needed = left_by_a_killed_run(base.path());
        File::open(needed.join(FILE)).unwrap().set_modified(SystemTime::now() + Duration::from_secs(60)).unwrap();
        let locked = left_by_a_killed_run(base.path());
        let lock = File::open(locked.join(LOCK)).unwrap();
        lock.try_lock().unwrap();
        let foreign = base.path().join("of-another-user");
        std::fs::create_dir(&foreign).unwrap();
        assert!(is_swept(base.path(), &left));
        assert!(needed.exists() && locked.exists() && foreign.exists() && running.path().exists());
        drop(lock);
        assert!(is_swept(base.path(), &locked));
    }
}

//! The running children, to report them on a signal and to kill them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Children of one kind. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Children(Arc<Mutex<BTreeMap<i32, Running>>>);

/// A running child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its operation, e.g. `helm upgrade loki`.
    pub label: String,
    /// Its process id and process group id.
    pub pid: i32,
    /// Start time.
    pub since: Timestamp,
}

impl Children {
    /// The running children, the oldest first.
    pub fn running(&self) -> Vec<Running> {
        let mut running: Vec<Running> = self.entries().values().cloned().collect();
        running.sort_by_key(|child| child.since);
        running
    }

    /// Kills their process groups; returns their operations.
    pub fn kill(&self) -> Vec<String> {
        let running = self.running();
        for child in &running {
            // It may have ended by itself in the meantime.
            let _ = killpg(Pid::from_raw(child.pid), Signal::SIGKILL);
        }
        running.into_iter().map(|child| child.label).collect()
    }

    /// Adds a child until the entry is dropped.
    pub(super) fn enter(&self, group: Option<Pid>, label: String) -> Entry {
        let pid = group.map_or(0, Pid::as_raw);
        if pid > 0 {
            self.entries().insert(pid, Running { label, pid, since: Timestamp::now() });
        }
        Entry { children: self.clone(), pid }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<i32, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A child's entry.
pub(super) struct Entry {
    children: Children,
    pid: i32,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.children.entries().remove(&self.pid);
    }
}

//! The running children: to report what a signal waits for, and to kill them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Children of one kind. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Children(Arc<Mutex<BTreeMap<i32, Running>>>);

/// A child that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// What it does, e.g. `helm upgrade loki`.
    pub label: String,
    /// Its process id, which is its group's as well.
    pub pid: i32,
    /// Since when.
    pub since: Timestamp,
}

impl Children {
    /// Those that run now, the oldest first.
    pub fn running(&self) -> Vec<Running> {
        let mut running: Vec<Running> = self.held().values().cloned().collect();
        running.sort_by_key(|child| child.since);
        running
    }

    /// Ends them with their groups at once; returns what they did.
    pub fn kill(&self) -> Vec<String> {
        let running = self.running();
        for child in &running {
            // It may have ended by itself in the meantime.
            let _ = killpg(Pid::from_raw(child.pid), Signal::SIGKILL);
        }
        running.into_iter().map(|child| child.label).collect()
    }

    /// One has started; it runs until the entry is dropped.
    pub(super) fn enter(&self, group: Option<Pid>, label: String) -> Entry {
        let pid = group.map_or(0, Pid::as_raw);
        if pid > 0 {
            self.held().insert(pid, Running { label, pid, since: Timestamp::now() });
        }
        Entry { children: self.clone(), pid }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<i32, Running>> {
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
        self.children.held().remove(&self.pid);
    }
}

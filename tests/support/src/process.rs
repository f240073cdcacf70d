use std::process::Command;

use nix::sys::signal::kill;
use nix::unistd::Pid;

pub use nix::sys::signal::Signal;

/// Sends a signal; false if the process has ended.
pub fn signal(pid: u32, signal: Signal) -> bool {
    kill(Pid::from_raw(pid.try_into().expect("a process id")), signal).is_ok()
}

/// The children of a process.
pub fn children(pid: u32) -> Vec<u32> {
    listed(&["-P", &pid.to_string()])
}

/// The processes with a command line that matches a pattern of pgrep.
pub fn matching(pattern: &str) -> Vec<u32> {
    listed(&["-f", pattern])
}

fn listed(arguments: &[&str]) -> Vec<u32> {
    let output = Command::new("pgrep").args(arguments).output().expect("pgrep runs");
    String::from_utf8_lossy(&output.stdout).lines().map(|pid| pid.parse().expect("a process id")).collect()
}

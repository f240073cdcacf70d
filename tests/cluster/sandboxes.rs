//! The sandbox itself: side by side, with faults that are real, and gone with whoever made it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Sandbox;

/// Waits for something that another process does.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < until, "not within 60 s: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_sandbox_ends_with_the_process_that_owns_it() {
    let mut owner = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
    let sandbox = Sandbox::up(&["--owner-pid", &owner.id().to_string(), "--nodes", "1"]);
    let folder = std::path::PathBuf::from(sandbox.variable("TAILWATCH_SANDBOX_DIR"));
    let daemon = std::fs::read_to_string(sandbox.file("pid")).unwrap().trim().to_owned();
    let children = || {
        let listed = Command::new("pgrep").args(["-f", &folder.display().to_string()]).output().unwrap();
        String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(children().len() >= 6, "{:?}", children());
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("the daemon ends", || !Path::new("/proc").join(&daemon).exists() || !folder.exists());
    eventually("its children end", || children().is_empty());
    eventually("its folder goes", || !folder.exists());
    // There is nothing to shut down any more.
    std::mem::forget(sandbox);
}

#[test]
fn two_sandboxes_share_nothing() {
    let (one, other) = (Sandbox::up(&["--nodes", "1"]), Sandbox::up(&["--nodes", "2"]));
    assert_ne!(one.name(), other.name());
    one.kubectl(&["create", "namespace", "only-here"]);
    assert!(!other.kubectl(&["get", "namespaces", "-o", "name"]).contains("only-here"));
    assert_eq!(one.kubectl(&["get", "nodes", "-o", "name"]).lines().count(), 1);
    assert_eq!(other.kubectl(&["get", "nodes", "-o", "name"]).lines().count(), 2);
}

/// A Deployment whose pods show each fault, and the same without it.
#[test]
fn each_fault_is_seen_in_the_api_and_ends() {
    let sandbox = Sandbox::up(&[]);
    sandbox.kubectl(&["create", "namespace", "monitoring"]);
    let pods = |path: &str| {
        sandbox.kubectl(&["-n", "monitoring", "get", "pods", "-o", &format!("jsonpath={{.items[*]{path}}}")])
    };
    let rows = [
        ("image-pull", ".status.containerStatuses[*].state.waiting.reason", "ImagePullBackOff"),
        ("crash-loop", ".status.containerStatuses[*].state.waiting.reason", "CrashLoopBackOff"),
        ("never-ready", ".status.containerStatuses[*].ready", "false"),
        ("unschedulable", ".status.conditions[*].reason", "Unschedulable"),
    ];
    for (kind, path, shown) in rows {
        sandbox.fault(kind, "on");
        sandbox.kubectl(&["-n", "monitoring", "create", "deployment", "web", "--image=web:1"]);
        eventually(kind, || pods(path).contains(shown));
        sandbox.fault(kind, "off");
        eventually(kind, || {
            sandbox.kubectl(&[
                "-n",
                "monitoring",
                "get",
                "deployment",
                "web",
                "-o",
                "jsonpath={.status.availableReplicas}",
            ]) == "1"
        });
        sandbox.kubectl(&["-n", "monitoring", "delete", "deployment", "web"]);
        eventually("the pods go", || pods(".metadata.name").is_empty());
    }
    sandbox.fault("quota", "on");
    eventually("quota", || {
        sandbox.kubectl(&["-n", "monitoring", "get", "resourcequota", "-o", "name"]).contains("sandbox-fault")
    });
    sandbox.fault("quota", "off");
    eventually("no quota", || sandbox.kubectl(&["-n", "monitoring", "get", "resourcequota", "-o", "name"]).is_empty());
}

//! A signal before anything was changed ends the command at once, with its own exit code.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::machine::{Machine, PROGRAM, fixture};

#[test]
fn a_signal_while_the_cluster_is_asked_ends_the_command() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let machine = Machine::new();
        machine.kubeconfig(&format!("http://{}", listener.local_addr().unwrap()));
        machine.program("helm", "echo v3.19.4");
        let mut child = Command::new(PROGRAM)
            .args(["install", "--yes", "--answers"])
            .arg(fixture("answers/v1/least.yaml"))
            .arg("--html")
            .arg(machine.path("page.html"))
            .env_clear()
            .env("HOME", machine.home())
            .env("PATH", machine.path("bin"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Once it has called, it waits for an answer that never comes.
        let connection = listener.accept().unwrap();
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        let code = child.wait().unwrap().code();
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(code, Some(130), "{signal}: {stderr}");
        assert_eq!(stderr, "error: interrupted, nothing was changed\n", "{signal}");
        let page = std::fs::read_to_string(machine.path("page.html")).unwrap();
        assert!(page.contains("Interrupted, nothing was changed"), "{signal}");
        drop(connection);
    }
}

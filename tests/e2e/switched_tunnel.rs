//! A tunnel to the API server that leads to another cluster under a run: the run ends with that reason, and the other
//! cluster's audit log holds no write of it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use support::{CommandOutput, Sandbox};

use crate::TAILWATCH;
use crate::kubeconfig_snapshot::{script, writes};

/// The id of namespace kube-system of the other cluster, which every error of such a run names.
fn identity(sandbox: &Sandbox) -> String {
    sandbox.kubectl(&["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"])
}

/// `kubectl proxy` of a sandbox: its API server as an administrator, by plain HTTP.
pub struct Proxy {
    process: Child,
    pub address: SocketAddr,
}

impl Proxy {
    pub fn of(sandbox: &Sandbox) -> Proxy {
        let mut command = sandbox.command(&sandbox.file("bin/kubectl"));
        let mut process = command.args(["proxy", "--port", "0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"));
        Proxy { process, address }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What becomes of the connections that a switched tunnel has carried so far.
#[derive(Clone, Copy, Debug)]
pub enum OpenConnections {
    Cut,
    Kept,
}

/// A forwarder on the loopback that can be switched to another target.
#[derive(Clone)]
pub struct Tunnel {
    port: u16,
    target: Arc<Mutex<SocketAddr>>,
    carried: Arc<Mutex<Vec<TcpStream>>>,
    /// Switches at the first request with this text.
    pub trigger: Arc<Mutex<Option<(&'static str, SocketAddr)>>>,
}

impl Tunnel {
    pub fn to(target: SocketAddr) -> Tunnel {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let tunnel =
            Tunnel { port, target: Arc::new(Mutex::new(target)), carried: Arc::default(), trigger: Arc::default() };
        let forwarding = tunnel.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(*forwarding.target.lock().unwrap()) else { continue };
                forwarding.carried.lock().unwrap().extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                let pairs = [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)];
                for (from, to) in pairs {
                    let forwarding = forwarding.clone();
                    std::thread::spawn(move || forwarding.forward(from, to));
                }
            }
        });
        tunnel
    }

    fn forward(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]);
            let due = self.trigger.lock().unwrap().take_if(|(trigger, _)| text.contains(*trigger));
            if let Some((_, target)) = due {
                self.switch(target, OpenConnections::Cut);
            }
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }

    pub fn write_kubeconfig(&self, context: &str, path: &Path) {
        let document = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": context,
            "contexts": [{"name": context, "context": {"cluster": "tunnel", "user": "tunnel"}}],
            "clusters": [{"name": "tunnel", "cluster": {"server": format!("http://127.0.0.1:{}", self.port)}}],
            "users": [{"name": "tunnel", "user": {}}],
        });
        std::fs::write(path, document.to_string()).unwrap();
    }

    pub fn switch(&self, target: SocketAddr, connection: OpenConnections) {
        *self.target.lock().unwrap() = target;
        let carried = std::mem::take(&mut *self.carried.lock().unwrap());
        match connection {
            OpenConnections::Cut => carried.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both))),
            OpenConnections::Kept => self.carried.lock().unwrap().extend(carried),
        }
    }
}

#[test]
fn a_tunnel_that_is_switched_to_another_cluster_ends_each_command_before_its_next_write() {
    let (here, there) = (Sandbox::up(TAILWATCH, &["--nodes", "1"]), Sandbox::up(TAILWATCH, &["--nodes", "1"]));
    let proxies = (Proxy::of(&here), Proxy::of(&there));
    a_run_that_waits_ends((&here, &there), &proxies);
    each_command_ends_and_stops_helm((&here, &there), &proxies);
}

fn a_run_that_waits_ends((here, there): (&Sandbox, &Sandbox), (first, second): &(Proxy, Proxy)) {
    here.fault("slow-start", "on");
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let (answers, other) = (here.answers(), identity(there));
    for (connection, change) in
        [(OpenConnections::Cut, "retention.logs=8d"), (OpenConnections::Kept, "retention.logs=9d")]
    {
        let tunnel = Tunnel::to(first.address);
        tunnel.write_kubeconfig("tunnel", &kubeconfig);
        let arguments = ["install", "--answers", &answers, "--yes", "--output", "json", "--set", change];
        let mut command = here.tailwatch_command(&arguments);
        command.env("KUBECONFIG", &kubeconfig).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut run = command.spawn().unwrap();
        let mut lines = BufReader::new(run.stdout.take().unwrap()).lines().map_while(Result::ok);
        let event = |line: String| serde_json::from_str::<Value>(&line).unwrap();
        // No helm runs once both steps of the wave wait.
        let mut waiting = BTreeSet::new();
        let waits = lines.by_ref().map(event).any(|event| {
            if event["phase"] == "waiting" {
                waiting.insert(event["component"].to_string());
            }
            waiting.len() == 2
        });
        assert!(waits, "only these steps came to their wait: {waiting:?}");
        tunnel.switch(second.address, connection);
        let last = lines.map(event).last().unwrap();
        let output = run.wait_with_output().unwrap();
        let said = CommandOutput::of(Output { stdout: Vec::new(), ..output }).ended_with(5);
        assert_eq!((&last["event"], &last["outcome"]), (&json!("run-finished"), &json!("failed")), "{last}");
        assert!(last["error"].to_string().contains(&other), "{last}");
        assert!(said.talk().contains(&other), "{connection:?}: {}", said.stderr);
        assert_eq!(writes(there), [], "{connection:?}");
    }
}

/// A helm that stops at a call of the test's choice until the test has switched the tunnel.
pub struct Gate {
    folder: tempfile::TempDir,
}

impl Gate {
    pub fn before(helm: &str) -> Gate {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            r#"cd '{place}' || exit 1
case "$1" in
"$(cat reads)")
    '{helm}' "$@" >out.$$ 2>err.$$; code=$?
    touch reached; while [ ! -e open ]; do sleep 0.1; done
    cat out.$$; cat err.$$ >&2; exit $code;;
"$(cat changes)")
    echo $$ >changing
    touch reached; while [ -d '{place}' ]; do sleep 0.1; done;;
esac
exec '{helm}' "$@""#,
            place = folder.path().display(),
        );
        script(&folder.path().join("helm"), &text);
        Gate { folder }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The next run stops at this call of helm: one of `reads` ends with the output of the first cluster once the
    /// tunnel is switched, one of `changes` runs until it is ended.
    pub fn set(&self, reads: &str, changes: &str) {
        std::fs::write(self.file("reads"), reads).unwrap();
        std::fs::write(self.file("changes"), changes).unwrap();
        for name in ["reached", "open", "changing"] {
            let _ = std::fs::remove_file(self.file(name));
        }
    }

    /// Runs a command, and the switch once helm is at the gate; the switch gets the command's process id.
    pub fn run(&self, command: &mut Command, switch: impl FnOnce(u32)) -> CommandOutput {
        let command = command.env("TAILWATCH_HELM", self.file("helm"));
        let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        while !self.file("reached").exists() && run.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        switch(run.id());
        std::fs::write(self.file("open"), "").unwrap();
        let output = run.wait_with_output().unwrap();
        assert!(self.file("reached").exists(), "helm was not called: {}", String::from_utf8_lossy(&output.stderr));
        CommandOutput::of(output)
    }
}

fn each_command_ends_and_stops_helm((here, there): (&Sandbox, &Sandbox), (first, second): &(Proxy, Proxy)) {
    here.fault("slow-start", "off");
    here.install(&["--skip-verify"]).ended_with(0);
    let gate = Gate::before(here.variable("TAILWATCH_HELM"));
    let kubeconfig = gate.file("kubeconfig");
    let (answers, other) = (here.answers(), identity(there));
    let with_change = ["install", "--answers", &answers, "--yes", "--set", "retention.logs=8d"];
    let cases = [
        (&["plan", "--answers", &answers][..], "version", "", 4),
        (&["verify", "--answers", &answers], "version", "", 4),
        (&["preflight", "--answers", &answers], "version", "", 4),
        (&["upgrade"], "version", "", 4),
        (&with_change, "version", "", 4),
        (&["uninstall", "--yes"], "version", "", 4),
        (&with_change, "", "upgrade", 5),
        (&["uninstall", "--yes"], "", "uninstall", 5),
    ];
    // No helm starts for these: the tunnel is switched when helm's records are read.
    for arguments in [&["status", "--output", "json"][..], &["diagnose"]] {
        let tunnel = Tunnel::to(first.address);
        tunnel.write_kubeconfig("tunnel", &kubeconfig);
        *tunnel.trigger.lock().unwrap() = Some(("owner%3Dhelm", second.address));
        let mut command = here.tailwatch_command(arguments);
        let said = CommandOutput::of(command.env("KUBECONFIG", &kubeconfig).output().unwrap()).ended_with(4);
        assert_eq!(*tunnel.trigger.lock().unwrap(), None, "{arguments:?} did not read the records");
        assert!(said.talk().contains(&other), "{arguments:?}: {}", said.stderr);
    }
    for (arguments, reads, changes, code) in cases {
        // What only reads ends alike.
        let connections =
            [OpenConnections::Cut, OpenConnections::Kept].into_iter().take(if changes.is_empty() { 1 } else { 2 });
        for connection in connections {
            let tunnel = Tunnel::to(first.address);
            tunnel.write_kubeconfig("tunnel", &kubeconfig);
            gate.set(reads, changes);
            let mut command = here.tailwatch_command(arguments);
            let said = gate.run(command.env("KUBECONFIG", &kubeconfig), |_| tunnel.switch(second.address, connection));
            let said = said.ended_with(code);
            assert!(said.talk().contains(&other), "{arguments:?}, {connection:?}: {}", said.stderr);
            let helm = std::fs::read_to_string(gate.file("changing")).ok();
            assert_eq!(helm.is_some(), !changes.is_empty(), "{arguments:?}, {connection:?}");
            let is_running = helm.is_some_and(|pid| Path::new("/proc").join(pid.trim()).exists());
            assert!(!is_running, "{arguments:?}, {connection:?}: helm outlives the run");
            assert_eq!(writes(there), [], "{arguments:?}, {connection:?}");
        }
    }
}

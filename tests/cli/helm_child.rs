//! What a real helm does not do on demand: hang, die, print garbage. And what a child may never get.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;
use support::assert_wording;
use tailwatch::helm::{Capabilities, Helm, HelmError, HelmOptions, HelmProgram, Limits, Ownership, ReleaseRequest};
use tokio_util::sync::CancellationToken;

use crate::host::Host;

/// For what must happen; its end is a failure, never a success.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A pipe that a script and everything it starts holds open: its end tells that all of them are gone.
struct Lifeline {
    lines: Receiver<String>,
    ended: Receiver<()>,
}

impl Lifeline {
    fn new(path: &Path) -> Lifeline {
        mkfifo(path, Mode::S_IRWXU).unwrap();
        let path: PathBuf = path.to_owned();
        let ((line_sender, lines), (end_sender, ended)) = (mpsc::channel(), mpsc::channel());
        std::thread::spawn(move || {
            for line in BufReader::new(std::fs::File::open(path).unwrap()).lines().map_while(Result::ok) {
                let _ = line_sender.send(line);
            }
            let _ = end_sender.send(());
        });
        Lifeline { lines, ended }
    }

    #[track_caller]
    fn says(&self, expected: &str) {
        let line = tokio::task::block_in_place(|| self.lines.recv_timeout(TIMEOUT));
        assert_eq!(line.as_deref(), Ok(expected));
    }

    #[track_caller]
    fn ends(&self) {
        let ended = tokio::task::block_in_place(|| self.ended.recv_timeout(TIMEOUT));
        assert!(ended.is_ok(), "a process that helm started is left over");
    }
}

fn limits(cancel: &CancellationToken) -> Limits {
    Limits { timeout: Duration::from_secs(60), cancel: cancel.clone(), kill: CancellationToken::new() }
}

/// A call that only reads.
async fn read(helm: &Helm) -> Result<Vec<serde_json::Value>, HelmError> {
    helm.show_crds(Path::new("demo.tgz")).await
}

fn request<'a>(chart: &'a Path, values: &'a serde_json::Value) -> ReleaseRequest<'a> {
    ReleaseRequest {
        release: "demo",
        namespace: "monitoring",
        chart,
        values,
        secrets: &[],
        ownership: Ownership::Respect,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_helm_that_hangs_is_killed_with_its_children_when_no_one_waits_any_more() {
    let machine = Host::new();
    let lifeline = Lifeline::new(&machine.path("lifeline"));
    // The child of the child ignores polite signals.
    let script = "exec 3> \"$home/lifeline\"\n(trap '' TERM INT HUP; sleep 100) &\necho started >&3\nwait";
    let helm = machine.helm(script).await;
    let call = tokio::spawn(async move { read(&helm).await });
    lifeline.says("started");
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    lifeline.ends();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mutating_helm_ends_by_itself_even_when_no_one_waits_any_more() {
    let machine = Host::new();
    let lifeline = Lifeline::new(&machine.path("lifeline"));
    mkfifo(&machine.path("gate"), Mode::S_IRWXU).unwrap();
    // Opened for reading and writing, it does not block this test, whether or not the script still reads.
    let mut gate = OpenOptions::new().read(true).write(true).open(machine.path("gate")).unwrap();
    let script = "exec 3> \"$home/lifeline\"\necho started >&3\nread line < \"$home/gate\"\necho ended >&3";
    let open = || OpenOptions::new().create(true).append(true).open(machine.path("lock")).unwrap();
    let (lock, other) = (open(), open());
    lock.lock().unwrap();
    let helm = machine.helm(script).await.holding(Some(Arc::new(lock)), "this");
    let call = tokio::spawn(async move {
        let values = json!({});
        let request = request(Path::new("demo.tgz"), &values);
        helm.upgrade_install(&request, &limits(&CancellationToken::new())).await
    });
    lifeline.says("started");
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert!(other.try_lock().is_err(), "helm keeps the lock of the run that started it");
    gate.write_all(b"go\n").unwrap();
    lifeline.says("ended");
    lifeline.ends();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_helm_gets_sigterm_and_is_waited_for() {
    let machine = Host::new();
    let lifeline = Lifeline::new(&machine.path("lifeline"));
    // The sleep starts before the trap, so that it does not inherit the trap's handler.
    let script = "exec 3> \"$home/lifeline\"\nsleep 100 &\n\
                  trap 'echo asked to stop >&3; echo release marked failed >&2; exit 1' TERM\necho started >&3\nwait";
    let helm = machine.helm(script).await;
    let cancel = CancellationToken::new();
    let cancelled = cancel.clone();
    let call = tokio::spawn(async move {
        let values = json!({});
        helm.upgrade_install(&request(Path::new("demo.tgz"), &values), &limits(&cancelled)).await
    });
    lifeline.says("started");
    cancel.cancel();
    lifeline.says("asked to stop");
    let error = call.await.unwrap().unwrap_err();
    assert!(error.to_string().ends_with("ended with exit code 1: release marked failed"), "{error}");
    lifeline.ends();
}

/// helm has no time limit of its own for a request: a hung API server would keep it for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_helm_that_hangs_is_asked_to_end_and_killed_where_it_has_no_one_to_tell() {
    let machine = Host::new();
    let script =
        "trap '' TERM\nexec 3> \"$home/lifeline\"\necho deaf >&3\n(trap '' TERM; sleep 100) &\nwait; sleep 100";
    let helm = machine.helm(script).await;
    let values = json!({});
    for verb in ["upgrade", "rollback", "uninstall"] {
        let lifeline = Lifeline::new(&machine.path("lifeline"));
        let (timeout, cancel, kill) = (Duration::from_secs(600), CancellationToken::new(), CancellationToken::new());
        let limits = Limits { timeout, cancel, kill };
        let call = async {
            match verb {
                "upgrade" => helm.upgrade_install(&request(Path::new("demo.tgz"), &values), &limits).await,
                "rollback" => helm.rollback(("demo", "monitoring"), 1, &limits).await,
                _ => helm.uninstall("demo", "monitoring", &limits).await,
            }
        };
        let stop = async {
            // Until then SIGTERM would end it.
            lifeline.says("deaf");
            limits.cancel.cancel();
            limits.kill.cancel();
        };
        let (end, ()) = tokio::join!(call, stop);
        let end = end.unwrap_err();
        assert!(end.to_string().contains("signal 9"), "{end}");
        lifeline.ends();
        std::fs::remove_file(machine.path("lifeline")).unwrap();
    }
    assert!(helm.children().running().is_empty());
}

const ODD_ENDS: [&str; 6] = [
    "kill -KILL $$",
    "kill -SEGV $$",
    "echo 'Error: odd thing' >&2; exit 7",
    "echo 'kind: ['",
    "printf '\\377\\376\\000'",
    "echo 'Error: Kubernetes cluster unreachable: x' >&2; exit 1",
];

#[tokio::test]
async fn every_odd_end_of_helm_is_reported_with_the_command_and_how_it_ended() {
    let mut messages = Vec::new();
    for script in ODD_ENDS {
        let machine = Host::new();
        messages.push(read(&machine.helm(script).await).await.unwrap_err().to_string());
    }
    assert_wording!(messages.join("\n"));
}

#[tokio::test]
async fn a_helm_that_says_very_much_neither_blocks_nor_floods() {
    let machine = Host::new();
    let script = "i=0; while [ $i -lt 3000 ]; do echo \"line $i of very many that helm may print about a chart\" >&2; \
                  echo '                                                                              '; i=$((i+1)); done\n\
                  echo 'Error: the last word' >&2; exit 1";
    let error = read(&machine.helm(script).await).await.unwrap_err().to_string();
    assert!(error.contains("the last word") && error.len() < 2000, "{error}");
}

#[tokio::test]
async fn values_reach_helm_in_a_file_for_its_owner_only_that_is_gone_afterwards() {
    let machine = Host::new();
    let script = "for argument; do [ \"$last\" = -f ] && file=$argument; last=$argument; done\n\
                  echo \"$@\" > \"$home/arguments\"; echo \"$file\" > \"$home/place\"; cat \"$file\" > \"$home/content\"\n\
                  ls -l \"$file\" | cut -c 1-10 > \"$home/mode\"\necho 'kind: ConfigMap'";
    let helm = machine.helm(script).await;
    let values = json!({"grafana": {"password": "hunter2"}});
    let chart = machine.path("demo-1.0.0.tgz");
    let capabilities = Capabilities { kube_version: "1.33.1".into(), api_versions: vec!["a/v1/B".into()] };
    let rendered = helm.template(&request(&chart, &values), &capabilities).await.unwrap();
    assert_eq!(rendered, [json!({"kind": "ConfigMap"})]);
    let read = |name: &str| std::fs::read_to_string(machine.path(name)).unwrap();
    assert_eq!(read("mode").trim(), "-rw-------");
    assert!(read("content").contains("hunter2"));
    assert!(!Path::new(read("place").trim()).exists(), "the values file is left over");
    assert!(
        Path::new(read("place").trim()).starts_with(machine.path("runs")),
        "beside the kubeconfig: {}",
        read("place")
    );
    assert!(!read("arguments").contains("hunter2"), "{}", read("arguments"));
    assert!(read("arguments").contains("--kube-version 1.33.1 --api-versions a/v1/B"), "{}", read("arguments"));
    assert!(read("log").contains("\"template\"") && !read("log").contains("hunter2"), "{}", read("log"));
}

#[tokio::test]
async fn a_helm_that_never_ends_its_version_or_is_none_is_distinguished() {
    let machine = Host::new();
    let discover =
        |program: PathBuf| HelmProgram::discover(HelmOptions { program: Some(program), ..HelmOptions::default() });
    let missing = discover(machine.path("nowhere")).await.unwrap_err();
    assert!(matches!(&missing, HelmError::NotFound { path: Some(path) } if *path == machine.path("nowhere")));
    let killed = discover(machine.program("killed", "kill -KILL $$")).await.unwrap_err();
    assert!(killed.to_string().contains("signal 9") && killed.hint().is_some(), "{killed}");
    let helm = discover(machine.program("four", "echo v4.0.0-beta.1")).await.unwrap();
    assert_eq!(helm.version().to_string(), "4.0.0-beta.1");
}

#[tokio::test]
async fn a_helm_that_does_not_see_our_files_is_reported_as_such() {
    let machine = Host::new();
    let script = "for argument; do [ \"$last\" = -f ] && file=$argument; last=$argument; done\n\
                  echo \"Error: open $file: no such file or directory\" >&2; exit 1";
    let (chart, values) = (machine.path("demo-1.0.0.tgz"), json!({}));
    let render = async |script: &str| {
        let helm = machine.helm(script).await;
        helm.template(&request(&chart, &values), &Capabilities::default()).await.unwrap_err()
    };
    let error = render(script).await;
    assert!(
        matches!(&error, HelmError::Sandboxed { .. }) && error.hint().unwrap().contains("TAILWATCH_CACHE"),
        "{error}"
    );
    let other = render("echo 'Error: open /nowhere/x.yaml: no such file or directory' >&2; exit 1").await;
    assert!(matches!(other, HelmError::Failed { .. }), "{other}");
}

use super::*;

fn shell(script: &str, input: Input) -> Call {
    Call {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: Environment::default(),
        removed: Vec::new(),
        added: Vec::new(),
        input,
        max_bytes: 1000,
        ending: Ending::Killed { after: Duration::from_secs(60) },
        need: None,
    }
}

async fn output(call: Call) -> Result<String, ProcessError> {
    let output = run(call, &CancellationToken::new()).await?;
    Ok(String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn a_child_reads_exactly_its_input() {
    let text = Input::Text(b"registry.example".to_vec());
    assert_eq!(output(shell("cat; echo .", text)).await.unwrap(), "registry.example.\n");
    assert_eq!(output(shell("cat; echo .", Input::Nothing)).await.unwrap(), ".\n");
    let unread = Input::Text(vec![b'x'; 1 << 20]);
    assert_eq!(output(shell("echo .", unread)).await.unwrap(), ".\n");
}

#[tokio::test]
async fn its_environment_has_no_withheld_and_removed_variables() {
    let mut call = shell("env", Input::Nothing);
    call.max_bytes = 1 << 20;
    call.environment = Environment::without(["CARGO_PKG_NAME".to_owned()]);
    call.removed = vec!["CARGO_PKG_VERSION".into()];
    call.added = vec![("MADE_FOR_IT".into(), "yes".into())];
    let text = output(call).await.unwrap();
    let has = |name: &str| text.lines().any(|line| line.starts_with(&format!("{name}=")));
    assert!(has("CARGO_MANIFEST_DIR") && has("MADE_FOR_IT"), "{text}");
    assert!(!has("CARGO_PKG_NAME") && !has("CARGO_PKG_VERSION"), "{text}");
}

#[tokio::test]
async fn endless_output_is_an_error_only_for_a_child_that_may_be_killed() {
    let endless = output(shell("while :; do echo yes; done", Input::Nothing)).await;
    assert!(matches!(endless, Err(ProcessError::TooLarge { max_bytes: 1000 })), "{endless:?}");
    let mut long = shell("i=0; while [ $i -lt 1000 ]; do echo 1234567890; i=$((i+1)); done", Input::Nothing);
    long.ending = terminated(Duration::from_secs(60), &CancellationToken::new());
    assert_eq!(output(long).await.unwrap().len(), 1000);
}

fn terminated(after: Duration, kill: &CancellationToken) -> Ending {
    Ending::Terminated { after, kill: kill.clone(), children: Children::default(), label: "sh".into() }
}

#[tokio::test]
async fn a_child_that_ignores_sigterm_is_killed_with_its_group_once_that_is_allowed() {
    let (cancel, kill) = (CancellationToken::new(), CancellationToken::new());
    let mut ignoring = shell("trap '' TERM; (trap '' TERM; sleep 100) & wait", Input::Nothing);
    let children = Children::default();
    ignoring.ending = Ending::Terminated {
        after: Duration::from_secs(60),
        kill: kill.clone(),
        children: children.clone(),
        label: "ignoring".into(),
    };
    let running = tokio::spawn(async move {
        let output = run(ignoring, &cancel.clone()).await;
        (output, cancel)
    });
    while children.running().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(children.running()[0].label, "ignoring");
    // Without SIGTERM before, `kill` has no effect.
    kill.cancel();
    assert!(!running.is_finished());
    assert_eq!(children.kill(), ["ignoring"]);
    let (output, _) = running.await.unwrap();
    assert!(!output.unwrap().status.success());
    assert!(children.running().is_empty());
}

#[tokio::test]
async fn a_deadline_terminates_a_child() {
    let kill = CancellationToken::new();
    kill.cancel();
    let mut ignoring = shell("trap '' TERM; while :; do sleep 0.1; done", Input::Nothing);
    ignoring.ending = terminated(Duration::from_millis(300), &kill);
    assert!(matches!(output(ignoring).await, Err(ProcessError::TimedOut { .. })));
    let mut obeying = shell("trap 'exit 3' TERM; while :; do sleep 0.1; done", Input::Nothing);
    obeying.ending = terminated(Duration::from_millis(300), &CancellationToken::new());
    assert!(matches!(output(obeying).await, Err(ProcessError::TimedOut { .. })));
}

#[tokio::test]
async fn the_end_of_stderr_is_kept() {
    let script =
        "i=0; while [ $i -lt 40000 ]; do echo 'a line of very many that it says'; i=$((i+1)); done >&2; echo last >&2";
    let stderr = run(shell(script, Input::Nothing), &CancellationToken::new()).await.unwrap().stderr;
    assert!(stderr.ends_with(b"last\n") && stderr.len() <= 256 << 10, "{}", stderr.len());
}

#[tokio::test]
async fn a_missing_program_is_distinguished() {
    let missing = Call { program: "/nowhere/helm".into(), ..shell("", Input::Nothing) };
    assert!(matches!(output(missing).await, Err(ProcessError::NotFound { .. })));
    let folder = Call { program: "/".into(), ..shell("", Input::Nothing) };
    assert!(matches!(output(folder).await, Err(ProcessError::Local { .. })));
}

#[test]
fn a_process_with_secrets_leaves_no_dump() {
    forbid_core_dumps();
    assert_eq!(nix::sys::resource::getrlimit(Resource::RLIMIT_CORE).unwrap().0, 0);
    #[cfg(target_os = "linux")]
    assert_eq!(nix::sys::prctl::get_dumpable(), Ok(false));
}

//! The commands of `examples/` install and check the stack, and its objects are accepted.

use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{CommandOutput, Sandbox};

use crate::TAILWATCH;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

fn document(name: &str) -> Value {
    serde_yaml::from_str(&std::fs::read_to_string(example(name)).unwrap()).unwrap()
}

/// The lines that start tailwatch.
fn of_lines<'a>(lines: impl Iterator<Item = &'a Value>) -> Vec<String> {
    let texts = lines.filter_map(Value::as_str).flat_map(str::lines);
    texts.filter(|line| line.starts_with("tailwatch ")).map(str::to_owned).collect()
}

/// Runs a line as the shell of a CI job does, in a folder with answers.yaml.
#[track_caller]
fn run(sandbox: &Sandbox, folder: &Path, line: &str, variables: &[(&str, &str)]) -> CommandOutput {
    let mut command = sandbox.command(Path::new("/bin/bash"));
    let programs = Path::new(TAILWATCH).parent().unwrap().display().to_string();
    command.args(["-e", "-c", &format!("PATH={programs}:$PATH; {line}")]).current_dir(folder);
    command.env("CI", "true").envs(variables.iter().copied());
    CommandOutput::of(command.output().unwrap()).ended_with(0)
}

#[test]
fn the_examples_install_and_check_the_stack() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(sandbox.answers(), folder.path().join("answers.yaml")).unwrap();

    let steps = document("github-actions.yaml")["jobs"]["tailwatch"]["steps"].clone();
    let lines = of_lines(steps.as_array().unwrap().iter().map(|step| &step["run"]));
    let [plan, install] = <[String; 2]>::try_from(lines).unwrap();
    run(&sandbox, folder.path(), &plan, &[("GITHUB_ACTIONS", "true")]);
    let installed = run(&sandbox, folder.path(), &install, &[("GITHUB_ACTIONS", "true")]);
    assert!(
        installed.stderr.contains("::group::wave 30: kube-prometheus-stack, oauth2-proxy\n"),
        "{}",
        installed.stderr
    );
    assert_eq!(sandbox.releases().len(), 4);
    assert!(folder.path().join("report.xml").exists() && folder.path().join("report.html").exists());

    let pipeline = document("gitlab-ci.yaml");
    for stage in pipeline["stages"].as_array().unwrap() {
        let lines = of_lines(pipeline[stage.as_str().unwrap()]["script"].as_array().unwrap().iter());
        assert!(!lines.is_empty(), "{stage}");
        for line in lines {
            run(&sandbox, folder.path(), &line, &[]);
        }
    }
    the_job_is_accepted_and_its_command_runs(&sandbox, folder.path());
}

/// In a namespace that enforces the level `restricted`.
fn the_job_is_accepted_and_its_command_runs(sandbox: &Sandbox, folder: &Path) {
    let file = example("kubernetes-job.yaml").display().to_string();
    sandbox.kubectl(&["create", "namespace", "ci"]);
    sandbox.kubectl(&["label", "namespace", "ci", "pod-security.kubernetes.io/enforce=restricted"]);
    sandbox.kubectl(&["-n", "ci", "create", "serviceaccount", "tailwatch"]);
    sandbox.kubectl(&["apply", "--dry-run=server", "-f", &file]);
    sandbox.kubectl(&["apply", "-f", &file]);
    let pod = || sandbox.get(&["-n", "ci", "pods", "-l", "job-name=tailwatch"])["items"][0].clone();
    support::eventually("the Job has a pod", || !pod().is_null());
    let container = &pod()["spec"]["containers"][0];
    let arguments = container["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap());
    let line = format!("tailwatch {}", arguments.collect::<Vec<_>>().join(" ")).replace("/answers/", "");
    let events = run(sandbox, folder, &line, &[]).events();
    assert_eq!(events.last().unwrap()["outcome"], "succeeded");

    let answers = sandbox.get(&["-n", "ci", "configmap", "tailwatch-answers"])["data"]["answers.yaml"].clone();
    std::fs::write(folder.join("of-the-job.yaml"), answers.as_str().unwrap()).unwrap();
    run(sandbox, folder, "tailwatch answers check of-the-job.yaml", &[]);
}

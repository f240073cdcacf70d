//! Report files: an early error if they cannot be written; written however the command ends.

use support::CommandOutput;

use crate::host::{Host, fixture};

fn verify(machine: &Host, arguments: &[&str]) -> CommandOutput {
    let answers = fixture("answers/v1/least.yaml").display().to_string();
    machine.run(&[&["verify", "--answers", &answers], arguments].concat())
}

#[test]
fn a_command_that_fails_early_leaves_its_reports_and_its_own_exit_code() {
    let machine = Host::new();
    let (junit, html) = (machine.path("report.xml"), machine.path("report.html"));
    let arguments = ["--junit", junit.to_str().unwrap(), "--html", html.to_str().unwrap()];
    verify(&machine, &arguments).ended_with(4);
    let kubeconfig = machine.path(".kube/config").display().to_string();
    let junit = std::fs::read_to_string(junit).unwrap();
    assert!(junit.contains("tests=\"1\" skipped=\"0\" failures=\"1\""), "{junit}");
    assert!(junit.contains("<failure message=") && junit.contains(&kubeconfig), "{junit}");
    let html = std::fs::read_to_string(html).unwrap();
    assert!(html.contains(&kubeconfig), "{html}");
}

#[test]
fn the_environment_names_reports_for_the_commands_that_write_them() {
    let machine = Host::new();
    let page = machine.path("page.html");
    let machine = machine.with("TAILWATCH_HTML", page.to_str().unwrap());
    machine.run(&["answers", "init"]).ended_with(0);
    assert!(!page.exists());
    verify(&machine, &[]).ended_with(4);
    assert!(page.exists());
}

#[test]
fn a_report_that_cannot_be_written_or_has_no_writer_is_a_wrong_command_line() {
    let machine = Host::new();
    let gone = machine.path("gone/report.xml").display().to_string();
    let said = verify(&machine, &["--junit", &gone]).ended_with(2);
    said.tells(&[&format!("--junit {gone}")]);
    let page = machine.path("page.html").display().to_string();
    machine.run(&["status", "--html", &page]).ended_with(2).tells(&["--html"]);
    assert!(!std::path::Path::new(&page).exists());
}

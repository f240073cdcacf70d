//! The last event of a run. A run that executed a plan sends it itself; for a command that ended before, it is sent
//! here: `--output json` always ends with exactly one `run-finished`.

use std::time::Instant;

use crate::cli::{Command, GlobalArgs, Output};
use crate::cluster::Cluster;
use crate::commands::process_status::process_status;
use crate::error::{CommandError, Error};
use crate::event::{Event, RunOutcome, RunSummary, StepResult};

use crate::report::{self, Record};
use crate::write_record::{ClusterState, Writes};

/// Name of a command with one JSON event per line.
pub(super) fn streams(command: Option<&Command>) -> Option<&'static str> {
    match command {
        Some(Command::Install { .. }) => Some("install"),
        Some(Command::Upgrade(_)) => Some("upgrade"),
        Some(Command::Uninstall(_)) => Some("uninstall"),
        // The guided installation prompts and has no JSON output.
        None | Some(_) => None,
    }
}

/// The summary of a run that executed a plan, without steps and checks.
pub(super) fn summary(
    ended: &Result<u8, CommandError>,
    (started, cluster): (Instant, &Cluster),
    writes: &Writes,
) -> RunSummary {
    RunSummary { api_requests: cluster.request_counts(), ..summary_of(ended, started, writes.state()) }
}

fn summary_of(ended: &Result<u8, CommandError>, started: Instant, cluster: ClusterState) -> RunSummary {
    let code = ended.as_ref().map_or_else(CommandError::exit_code, |code| *code);
    RunSummary {
        outcome: RunOutcome::of(code),
        cluster_changed: cluster == ClusterState::Changed,
        error: ended.as_ref().err().map(report::error_message::run_error),
        steps: Vec::new(),
        checks: Vec::new(),
        seconds: started.elapsed().as_secs_f64(),
        peak_rss_kib: peak_rss_kib(),
        api_requests: Default::default(),
    }
}

/// A command that ended before its plan was executed.
pub(super) struct Early<'a> {
    pub(super) global: &'a GlobalArgs,
    pub(super) command: &'static str,
    pub(super) started: Instant,
}

impl Early<'_> {
    /// With `--output json`: sends the first and the last event of a failed command, unless the run did.
    pub(super) fn finish(&self, ended: &Result<u8, CommandError>, record: &Record) {
        let Err(error) = ended else { return };
        if self.global.output != Output::Json || record.is_finished() {
            return;
        }
        let (context, namespace) = match record.recorded_place() {
            Some((context, namespace)) => (context, Some(namespace)),
            None => (self.global.context.clone(), self.global.namespace.clone()),
        };
        let checks = record.checks_so_far();
        let summary = RunSummary { checks, ..summary_of(ended, self.started, error.cluster) };
        if let Some((ended, left)) = record.step_results() {
            let events = left.iter().map(ending_of).collect::<Vec<_>>();
            let end = Event::RunFinished(RunSummary { steps: [ended, left].concat(), ..summary });
            return report::write_events(self.global.log_file.as_deref(), events.into_iter().chain([end]));
        }
        report::write_events(self.global.log_file.as_deref(), whole_run(self.command, (context, namespace), summary));
    }
}

fn ending_of(left: &StepResult) -> Event {
    Event::StepFinished {
        component: left.component.clone(),
        wave: left.wave,
        outcome: left.outcome,
        seconds: left.seconds,
        message: None,
        causes: Vec::new(),
        hint: None,
        diagnosis: None,
        rollback: None,
    }
}

/// The events of a run without steps.
fn whole_run(command: &str, (context, namespace): (Option<String>, Option<String>), end: RunSummary) -> [Event; 2] {
    let version = env!("CARGO_PKG_VERSION").into();
    let steps = Vec::new();
    [Event::RunStarted { command: command.into(), context, namespace, version, steps }, Event::RunFinished(end)]
}

/// Sends the events of a command line that clap rejected.
pub(super) fn usage_error(command: &str, error: &clap::Error) {
    let text = error.render().to_string();
    // After an empty line, clap's usage and help text follow.
    let message = text.trim_start_matches("error: ").split("\n\n").next().unwrap_or_default();
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let hint = Some("add `--help` to the command to see its flags".to_owned());
    let ended = Err(CommandError::new(Error::Usage { message, hint }, ClusterState::Unchanged));
    let end = summary_of(&ended, Instant::now(), ClusterState::Unchanged);
    report::write_events(None, whole_run(command, (None, None), end));
}

/// `VmHWM` of proc(5), else ru_maxrss of getrusage(2): on Linux that includes the memory of the parent, which the kernel
/// counts before execve(2). It is in KiB on Linux, in bytes on macOS.
fn peak_rss_kib() -> u64 {
    use nix::sys::resource::{UsageWho, getrusage};
    if let Some(kib) = process_status("VmHWM:").and_then(|text| text.trim_end_matches("kB").trim().parse().ok()) {
        return kib;
    }
    let largest = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss());
    let largest = u64::try_from(largest).unwrap_or(0);
    if cfg!(target_os = "macos") { largest / 1024 } else { largest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_follows_the_exit_code_and_the_error_is_reported() {
        let of = |error, cluster| summary_of(&Err(CommandError::new(error, cluster)), Instant::now(), cluster);
        let failed = || Error::Preflight { failed: 1, total: 2 };
        let before = of(failed(), ClusterState::Unchanged);
        assert_eq!((before.outcome, before.cluster_changed), (RunOutcome::PreflightFailed, false));
        let reported = before.error.unwrap();
        assert_eq!((reported.message.as_str(), reported.exit_code), ("1 of 2 checks failed, nothing was changed", 4));
        assert!(reported.hint.is_some());
        let after = of(failed(), ClusterState::Changed);
        assert_eq!((after.outcome, after.cluster_changed), (RunOutcome::Failed, true));
        assert_eq!(after.error.unwrap().exit_code, crate::exit_code::INSTALL);
        let succeeded = summary_of(&Ok(crate::exit_code::OK), Instant::now(), ClusterState::Changed);
        assert_eq!((succeeded.outcome, succeeded.error), (RunOutcome::Succeeded, None));
        assert_eq!(of(Error::Interrupted, ClusterState::Unchanged).outcome, RunOutcome::Cancelled);
    }
}

//! The last event of a run. A run that executed a plan sends it itself; for a command that ended before, it is sent
//! here: `--output json` always ends with exactly one `run-finished`.

use std::ffi::OsString;
use std::time::Instant;

use crate::cli;
use crate::error::{self, CommandError, Error};
use crate::event::{Event, RunOutcome, RunSummary, StepResult};
use crate::report::{EventReporter, Record, Ui, run_error};
use crate::session::Session;
use crate::session::process_status::process_status;
use crate::write_record::ClusterState;

/// The summary of a run that began at this moment, without steps, checks and requests.
pub(crate) fn summary(ended: Result<u8, &CommandError>, started: Instant, cluster: ClusterState) -> RunSummary {
    RunSummary {
        outcome: RunOutcome::of(ended.unwrap_or_else(CommandError::exit_code)),
        cluster_changed: cluster == ClusterState::Changed,
        error: ended.err().map(run_error),
        steps: Vec::new(),
        checks: Vec::new(),
        seconds: started.elapsed().as_secs_f64(),
        peak_rss_kib: peak_rss_kib(),
        api_requests: Default::default(),
    }
}

impl Session {
    /// With one JSON event per line: sends the events that a failed command has not sent.
    pub(super) fn send_last_event(&self, error: &CommandError) {
        if !self.ui.writes_events() || self.record.is_finished() {
            return;
        }
        let mut summary = summary(Err(error), self.started, error.cluster);
        summary.checks = self.record.checks_so_far();
        match self.record.step_results() {
            Some((ended, left)) => {
                left.iter().for_each(|step| self.send(ending_of(step)));
                summary.steps = [ended, left].concat();
            }
            None => {
                let flags = || (self.global.context.clone(), self.global.namespace.clone());
                let recorded = self.record.recorded_place().map(|(context, namespace)| (context, Some(namespace)));
                self.send(run_started(self.command, recorded.unwrap_or_else(flags)));
            }
        }
        self.send(Event::RunFinished(summary));
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

/// The first event of a run that ended before its plan was known.
fn run_started(command: &str, (context, namespace): (Option<String>, Option<String>)) -> Event {
    let version = env!("CARGO_PKG_VERSION").into();
    Event::RunStarted { command: command.into(), context, namespace, version, steps: Vec::new() }
}

/// Sends the events of a command line that clap rejected; returns the exit code.
pub fn report_usage_error(error: &clap::Error, arguments: impl IntoIterator<Item = OsString>) -> u8 {
    if let Some(command) = cli::streaming_command(arguments).filter(|_| error.exit_code() != 0) {
        let text = error.render().to_string();
        // After an empty line, clap's usage and help text follow.
        let message = text.trim_start_matches("error: ").split("\n\n").next().unwrap_or_default();
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let hint = Some("add `--help` to the command to see its flags".to_owned());
        let error = CommandError::new(Error::Usage { message, hint }, ClusterState::Unchanged);
        let reporter = EventReporter::new(Ui::of_events(), None, Record::new(command));
        reporter.send(run_started(command, (None, None)));
        reporter.send(Event::RunFinished(summary(Err(&error), Instant::now(), error.cluster)));
    }
    u8::try_from(error.exit_code()).unwrap_or(error::USAGE)
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
        let of = |error, cluster| summary(Err(&CommandError::new(error, cluster)), Instant::now(), cluster);
        let failed = || Error::Preflight { failed: 1, total: 2 };
        let before = of(failed(), ClusterState::Unchanged);
        assert_eq!((before.outcome, before.cluster_changed), (RunOutcome::PreflightFailed, false));
        let reported = before.error.unwrap();
        assert_eq!((reported.message.as_str(), reported.exit_code), ("1 of 2 checks failed, nothing was changed", 4));
        assert!(reported.hint.is_some());
        let after = of(failed(), ClusterState::Changed);
        assert_eq!((after.outcome, after.cluster_changed), (RunOutcome::Failed, true));
        assert_eq!(after.error.unwrap().exit_code, crate::exit_code::INSTALL);
        let succeeded = summary(Ok(crate::exit_code::OK), Instant::now(), ClusterState::Changed);
        assert_eq!((succeeded.outcome, succeeded.error), (RunOutcome::Succeeded, None));
        assert_eq!(of(Error::Interrupted, ClusterState::Unchanged).outcome, RunOutcome::Cancelled);
    }
}

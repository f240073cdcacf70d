//! One file for each subcommand. Wiring only; rules are in the modules below.

mod answers;
mod available_versions;
mod changing_run;
mod connect;
mod diagnose;
mod durations;
mod execute;
mod explain;
mod install;
mod interactive;
mod lock;
mod man;
mod plan;
mod plan_file;
mod planner;
mod preflight;
mod process_status;
mod report_files;
mod run_finished;
mod saved_answers;
mod secrets;
mod settings_sources;
mod sign_in;
mod signals;
mod status;
mod uninstall;
mod upgrade;
mod verify;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use clap::CommandFactory;

use crate::cli::{self, Cli, Command, GlobalArgs};
use crate::commands::signals::Signals;
use crate::error::{self, CommandError, Error};
use crate::report::{self, Files, Record, style::Style};
use crate::write_record::Writes;

/// Runs the command, sends the last event unless the run did, and writes the reports; returns the exit code.
pub fn run(cli: Cli) -> Result<u8, CommandError> {
    let started = Instant::now();
    let Cli { global, command } = cli;
    let writes = Writes::default();
    let streams = run_finished::streams(command.as_ref());
    let record = Record::new(report_files::writer(command.as_ref()).or(streams).unwrap_or("tailwatch"));
    let ended = with_reports(&global, command, Run { record: &record, writes: &writes, started });
    if let Some(command) = streams {
        run_finished::Early { global: &global, command, started }.finish(&ended, &record);
    }
    ended
}

/// Renders a command line error of clap and the final events of its command; returns the exit code.
pub fn report_usage_error(error: &clap::Error, arguments: impl IntoIterator<Item = OsString>) -> u8 {
    if let Some(command) = cli::streaming_command(arguments).filter(|_| error.exit_code() != 0) {
        run_finished::usage_error(command, error);
    }
    u8::try_from(error.exit_code()).unwrap_or(error::USAGE)
}

fn with_reports(global: &GlobalArgs, command: Option<Command>, run: Run<'_>) -> Result<u8, CommandError> {
    let failed = |error| CommandError::new(error, run.writes.state());
    report::judge_log(global).map_err(failed)?;
    if report_files::writer(command.as_ref()).is_none() {
        report_files::reject_flags(global).map_err(failed)?;
        return dispatch(global.clone(), command, run).map_err(failed);
    }
    let files = Files::open(global).map_err(failed)?;
    let style = Style::resolve(global);
    let ended = dispatch(global.clone(), command, run).map_err(failed);
    run.record.conclude(&ended);
    files.write(run.record, &style);
    ended
}

/// Records of a run.
#[derive(Clone, Copy)]
struct Run<'a> {
    record: &'a Record,
    writes: &'a Writes,
    started: Instant,
}

impl Run<'_> {
    /// Ends the program if a command does not notice its signal, with the same final output in the same order.
    fn abandon(self, global: &GlobalArgs, streams: Option<&'static str>) -> Abandoned {
        let (global, record, writes, started) =
            (global.clone(), self.record.clone(), self.writes.clone(), self.started);
        Abandoned(Arc::new(move |error: Error| {
            let ended = Err(CommandError::new(error, writes.state()));
            if let Some(command) = streams {
                run_finished::Early { global: &global, command, started }.finish(&ended, &record);
            }
            if let Err(error) = &ended {
                report::error_message::render(error, &Style::resolve(&global));
                return error.exit_code();
            }
            error::OK
        }))
    }
}

/// Writes the final output of a command that a signal ends; returns the exit code.
#[derive(Clone)]
struct Abandoned(Arc<dyn Fn(Error) -> u8 + Send + Sync>);

fn dispatch(global: GlobalArgs, command: Option<Command>, run: Run<'_>) -> Result<u8, Error> {
    let Run { record, .. } = run;
    let writes = (run.writes, run.abandon(&global, run_finished::streams(command.as_ref())));
    match command {
        None => drive(writes, |signals| async move { install::guided(&global, &signals, record).await }),
        Some(Command::Install { run, plan }) => drive(writes, |signals| async move {
            install::install(&global, (&run, plan.as_deref()), &signals, record).await
        }),
        Some(Command::Upgrade(arguments)) => {
            drive(writes, |signals| async move { upgrade::upgrade(&global, &arguments, &signals, record).await })
        }
        Some(Command::Uninstall(arguments)) => {
            drive(writes, |signals| async move { uninstall::uninstall(&global, &arguments, &signals, record).await })
        }
        Some(Command::Plan { settings, diff, exit_code, adopt, out }) => drive(writes, |signals| async move {
            let options =
                plan::PlanOptions { diff, exit_code, ownership: planner::ownership(adopt), out: out.as_deref() };
            plan::plan(&global, &settings, options, signals.writes()).await
        }),
        Some(Command::Preflight { settings, adopt }) => drive(writes, |signals| async move {
            let records = (record, signals.writes());
            preflight::preflight(&global, &settings, planner::ownership(adopt), records).await
        }),
        Some(Command::Verify(arguments)) => {
            drive(
                writes,
                |signals| async move { verify::Verification { signals, record }.run(&global, &arguments).await },
            )
        }
        Some(Command::Diagnose) => {
            drive(writes, |signals| async move { diagnose::diagnose(&global, signals.writes()).await })
        }
        Some(Command::Status) => {
            drive(writes, |signals| async move { status::status(&global, signals.writes()).await })
        }
        Some(Command::Explain { id }) => explain::explain(&global, &id),
        Some(Command::Answers { command }) => answers::run(&global, command),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tailwatch", &mut script);
            print_bytes(&script)
        }
        Some(Command::Man) => {
            let failed = |source| Error::Local { what: "render the manual page".into(), source };
            print_bytes(&man::page().map_err(failed)?)
        }
    }
}

fn print_bytes(bytes: &[u8]) -> Result<u8, Error> {
    report::write_stdout(&String::from_utf8_lossy(bytes));
    Ok(error::OK)
}

/// Runs a command's future. A signal before the first change ends it; a panic ends it and releases the lock.
fn drive<F: Future<Output = Result<u8, Error>>>(
    (writes, abandoned): (&Writes, Abandoned),
    command: impl FnOnce(Signals) -> F,
) -> Result<u8, Error> {
    signals::continue_in_background();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| Error::Local { what: "start the runtime".into(), source })?;
    let signals = Signals::new(writes.clone());
    let terminal = Arc::new(report::SavedTerminal::save());
    let abandon: signals::Abandon = {
        let terminal = Arc::clone(&terminal);
        Arc::new(move |error| {
            terminal.restore();
            exit_process(abandoned.0(error))
        })
    };
    let run = || runtime.block_on(signals::interruptible(&signals, abandon, command(signals.clone())));
    let ended = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        runtime.block_on(signals.abort());
        Err(Error::Bug { message: report::last_panic() })
    });
    // A blocking prompt or a resolver thread must not delay the exit.
    runtime.shutdown_background();
    terminal.restore();
    ended
}

#[expect(clippy::exit, reason = "the command blocks its thread and cannot return")]
fn exit_process(code: u8) {
    std::process::exit(code.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The variable of a flag must not be reported as unknown.
    #[test]
    fn the_variable_of_every_flag_is_known() {
        let root = Cli::command();
        let mut commands: Vec<&clap::Command> = vec![&root];
        while let Some(command) = commands.pop() {
            for variable in command.get_arguments().filter_map(|argument| argument.get_env()) {
                let name = variable.to_string_lossy();
                assert!(crate::config::is_known_variable(&name), "{name}");
            }
            commands.extend(command.get_subcommands());
        }
    }
}

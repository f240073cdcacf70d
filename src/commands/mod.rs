//! One small file a subcommand: wiring only. Decisions live in the modules below.

mod adoption;
mod answers;
mod audience;
mod connect;
mod diagnose;
mod ending;
mod execute;
mod explain;
mod ground;
mod install;
mod lock;
mod manual;
mod offers;
mod plan;
mod preflight;
mod reports;
mod saved;
mod sign_in;
mod signals;
mod status;
mod survey;
mod uninstall;
mod upgrade;
mod verify;

use std::ffi::OsString;
use std::time::Instant;

use clap::CommandFactory;

use crate::cli::{self, Cli, Command, GlobalArgs};
use crate::commands::signals::Signals;
use crate::error::{self, CommandError, Error};
use crate::report::{self, Files, Record, style::Style};
use crate::writes::Writes;

/// Runs the command, sends the last event where its run did not, and writes its reports; the code is the exit code.
pub fn run(cli: Cli) -> Result<u8, CommandError> {
    let started = Instant::now();
    let Cli { global, command } = cli;
    let writes = Writes::default();
    let streams = ending::streams(command.as_ref());
    let record = Record::new(reports::writer(command.as_ref()).or(streams).unwrap_or("tailwatch"));
    let ended = with_reports(&global, command, Run { record: &record, writes: &writes });
    if let Some(command) = streams {
        ending::Early { global: &global, command, started }.finish(&ended, &record);
    }
    ended
}

/// What clap refused of a command line, with the events that its command ends with; the code is the exit code.
pub fn refuse(refusal: &clap::Error, arguments: impl IntoIterator<Item = OsString>) -> u8 {
    if let Some(command) = cli::streaming_command(arguments).filter(|_| refusal.use_stderr()) {
        ending::refused(command, refusal);
    }
    u8::try_from(refusal.exit_code()).unwrap_or(error::USAGE)
}

fn with_reports(global: &GlobalArgs, command: Option<Command>, run: Run<'_>) -> Result<u8, CommandError> {
    let failed = |error| CommandError::new(error, run.writes.state());
    report::judge_log(global).map_err(failed)?;
    if reports::writer(command.as_ref()).is_none() {
        reports::refuse_flags(global).map_err(failed)?;
        return dispatch(global.clone(), command, run).map_err(failed);
    }
    let files = Files::open(global).map_err(failed)?;
    let style = Style::resolve(global);
    let ended = dispatch(global.clone(), command, run).map_err(failed);
    run.record.conclude(&ended);
    files.write(run.record, &style);
    ended
}

/// What is recorded of a run.
#[derive(Clone, Copy)]
struct Run<'a> {
    record: &'a Record,
    writes: &'a Writes,
}

fn dispatch(global: GlobalArgs, command: Option<Command>, run: Run<'_>) -> Result<u8, Error> {
    let Run { record, writes } = run;
    match command {
        None => drive(writes, |signals| async move { install::guided(&global, &signals, record).await }),
        Some(Command::Install(arguments)) => {
            drive(writes, |signals| async move { install::install(&global, &arguments, &signals, record).await })
        }
        Some(Command::Upgrade(arguments)) => {
            drive(writes, |signals| async move { upgrade::upgrade(&global, &arguments, &signals, record).await })
        }
        Some(Command::Uninstall(arguments)) => {
            drive(writes, |signals| async move { uninstall::uninstall(&global, &arguments, &signals, record).await })
        }
        Some(Command::Plan { settings, diff, exit_code }) => drive(writes, |signals| async move {
            plan::plan(&global, &settings, plan::PlanOptions { diff, exit_code }, signals.writes()).await
        }),
        Some(Command::Preflight { settings, adopt }) => drive(writes, |signals| async move {
            let noted = (record, signals.writes());
            preflight::preflight(&global, &settings, adoption::consent(adopt), noted).await
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
            print_bytes(&manual::page().map_err(failed)?)
        }
    }
}

fn print_bytes(bytes: &[u8]) -> Result<u8, Error> {
    report::write_stdout(&String::from_utf8_lossy(bytes));
    Ok(error::OK)
}

/// Runs a command's future; a signal before anything was changed ends it.
fn drive<F: Future<Output = Result<u8, Error>>>(
    writes: &Writes,
    command: impl FnOnce(Signals) -> F,
) -> Result<u8, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| Error::Local { what: "start the runtime".into(), source })?;
    let signals = Signals::new(writes.clone());
    let _restored = report::SavedTerminal::remember();
    let ended = runtime.block_on(signals::interruptible(&signals, command(signals.clone())));
    // A blocking prompt or a resolver thread must not hold the exit back.
    runtime.shutdown_background();
    ended
}

fn settings_sources(global: &GlobalArgs, arguments: &crate::cli::SettingsArgs) -> crate::config::Sources {
    crate::config::Sources {
        answers: arguments.answers.clone(),
        set: arguments.set.clone(),
        namespace_flag: global.namespace.clone(),
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A variable that stands for a flag must not be told to answer nothing.
    #[test]
    fn every_flags_variable_is_known() {
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

//! One file for each subcommand. Wiring only; rules are in the modules below.

mod answers;
mod bundle;
mod completions;
mod diagnose;
mod explain;
mod export;
mod guided;
mod install;
mod man;
mod plan;
mod preflight;
mod rbac;
mod replay;
mod status;
mod uninstall;
mod upgrade;
mod verify;
mod version;

use crate::cli::{Cli, Command};
use crate::error::Error;
use crate::session::Session;
use crate::workflow::planner;

/// Runs the command and reports its end; returns the exit code.
pub fn run(Cli { global, command }: Cli) -> u8 {
    Session::run(global, command, dispatch)
}

fn dispatch(session: &Session, command: Option<Command>) -> Result<u8, Error> {
    match command {
        None => session.drive(guided::guided(session)),
        Some(Command::Install { run, plan }) => session.drive(install::install(session, &run, plan.as_deref())),
        Some(Command::Upgrade(arguments)) => session.drive(upgrade::upgrade(session, &arguments)),
        Some(Command::Uninstall(arguments)) => session.drive(uninstall::uninstall(session, &arguments)),
        Some(Command::Plan(arguments)) => session.drive(plan::plan(session, &arguments)),
        Some(Command::Preflight { settings, adopt }) => {
            session.drive(preflight::preflight(session, &settings, planner::ownership(adopt)))
        }
        Some(Command::Verify(arguments)) => session.drive(verify::verify(session, &arguments)),
        Some(Command::Rbac(arguments)) => session.drive(rbac::rbac(session, &arguments)),
        Some(Command::Export(arguments)) => session.drive(export::export(session, &arguments)),
        Some(Command::Bundle(arguments)) => session.drive(bundle::bundle(session, &arguments)),
        Some(Command::Diagnose) => session.drive(diagnose::diagnose(session)),
        Some(Command::Status(arguments)) => session.drive(status::status(session, &arguments)),
        Some(Command::Explain { id }) => explain::explain(session, &id),
        Some(Command::Replay { file, speed }) => session.drive(replay::replay(session, &file, speed)),
        Some(Command::Answers { command }) => answers::answers(session, command),
        Some(Command::Completions { shell }) => Ok(completions::completions(shell)),
        Some(Command::Version) => version::version(session),
        Some(Command::Man) => man::man(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

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

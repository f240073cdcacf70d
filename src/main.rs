//! Parses the command line, runs the command and exits with its code.

use std::process::ExitCode;

use clap::Parser;
use tailwatch::{cli::Cli, commands, process, report, session};

fn main() -> ExitCode {
    process::forbid_core_dumps();
    report::keep_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = session::report_usage_error(&error, std::env::args_os());
            // A closed pipe is not an error.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    ExitCode::from(commands::run(cli))
}

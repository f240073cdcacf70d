//! Parses the command line, runs the command, renders its error and exits with its code.

use std::process::ExitCode;

use clap::Parser;
use tailwatch::{cli::Cli, commands, report};

fn main() -> ExitCode {
    report::keep_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = commands::report_usage_error(&error, std::env::args_os());
            // A closed pipe is not an error.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let style = report::style::Style::resolve(&cli.global);
    match commands::run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            report::error_message::render(&error, &style);
            ExitCode::from(error.exit_code())
        }
    }
}

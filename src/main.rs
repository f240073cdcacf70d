//! Parse, run, render the error, exit with its code; nothing else.

use std::process::ExitCode;

use clap::Parser;
use tailwatch::{cli::Cli, commands, report};

fn main() -> ExitCode {
    report::keep_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(refusal) => {
            let code = commands::refuse(&refusal, std::env::args_os());
            // A closed pipe is not an error.
            let _ = refusal.print();
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

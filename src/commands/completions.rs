//! `tailwatch completions`: the script of a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::error;
use crate::report;

pub(super) fn completions(shell: Shell) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tailwatch", &mut script);
    report::write_stdout(&String::from_utf8_lossy(&script));
    error::OK
}

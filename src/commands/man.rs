//! `tailwatch man`: one page with every command.

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::Cli;
use crate::error::{self, Error};
use crate::exit_code;
use crate::report;

/// Prints the page.
pub(super) fn man() -> Result<u8, Error> {
    let page = page().map_err(|source| Error::Local { what: "render the manual page".into(), source })?;
    report::write_stdout(&String::from_utf8_lossy(&page));
    Ok(error::OK)
}

/// The page in roff.
fn page() -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    // Hidden, they are not listed as pages of their own.
    let root = Cli::command().disable_help_subcommand(true).mut_subcommands(|command| command.hide(true));
    Man::new(root).render(&mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    commands(&root, "tailwatch", &mut roff);
    roff.control("SH", ["EXIT STATUS"]);
    for row in &exit_code::ALL {
        roff.control("TP", []).text([bold(row.code.to_string())]).text([roman(row.meaning.replace('`', ""))]);
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// Every subcommand with its own flags.
fn commands(parent: &Command, path: &str, roff: &mut Roff) {
    for command in parent.get_subcommands().filter(|command| command.get_name() != "help") {
        let path = format!("{path} {}", command.get_name());
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        roff.control("SS", [path.as_str()]).text([roman(about)]);
        for argument in command.get_arguments().filter(|it| !it.is_global_set() && it.get_id() != "help") {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            roff.control("TP", []).text([bold(argument.to_string())]).text([roman(help)]);
        }
        commands(command, &path, roff);
    }
}

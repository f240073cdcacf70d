//! `tailwatch man`: one page with every command, since no other page is installed.

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::Cli;
use crate::error;

/// The exit codes of `crate::error`.
const EXIT_CODES: [(u8, &str); 10] = [
    (error::OK, "everything went as asked"),
    (error::INTERNAL, "a bug or an unexpected local failure"),
    (error::USAGE, "wrong command line"),
    (error::ANSWERS, "the answers are invalid or incomplete"),
    (error::PREFLIGHT, "something outside is in the way; nothing was changed"),
    (error::INSTALL, "the install or removal failed; the cluster was changed"),
    (error::VERIFICATION, "installed, but verification failed, or diagnose found what hinders the stack"),
    (error::LOCKED, "another run holds the lock"),
    (error::CHANGES, "plan --exit-code found changes"),
    (error::INTERRUPTED, "interrupted"),
];

/// The page in roff.
pub(super) fn page() -> std::io::Result<Vec<u8>> {
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
    for (code, meaning) in EXIT_CODES {
        roff.control("TP", []).text([bold(code.to_string())]).text([roman(meaning)]);
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// Every command below this one, with the flags that only it has.
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

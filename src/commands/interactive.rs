//! Whether a command can prompt.

use std::io::IsTerminal;

use crate::cli::{GlobalArgs, Output};
use crate::error::Error;
use crate::report;

/// Whether a command prompts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Interaction {
    /// The user sees the plan on a terminal and answers.
    Prompts,
    /// No prompts.
    None,
}

impl Interaction {
    /// A prompt needs a terminal that shows the plan: not with `--quiet` or `--output json`.
    pub(super) fn of(global: &GlobalArgs) -> Interaction {
        if obstacle(global, TerminalState::now()).is_none() { Interaction::Prompts } else { Interaction::None }
    }

    /// The error of a command that needs a prompt; `what` is a fragment such as "cannot ask for a secret".
    pub(super) fn usage_error(global: &GlobalArgs, what: &str, hint: &str) -> Error {
        let obstacle = obstacle(global, TerminalState::now()).unwrap_or("without a terminal");
        Error::Usage { message: format!("{what} {obstacle}"), hint: Some(hint.to_owned()) }
    }
}

/// State of the terminal.
#[derive(Clone, Copy)]
enum TerminalState {
    Present,
    Missing,
    /// Present, but reading it would stop this background job.
    Background,
}

impl TerminalState {
    fn now() -> TerminalState {
        let present = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        match present {
            true if report::is_in_foreground() => TerminalState::Present,
            true => TerminalState::Background,
            false => TerminalState::Missing,
        }
    }
}

/// Why a prompt is not possible.
fn obstacle(global: &GlobalArgs, terminal: TerminalState) -> Option<&'static str> {
    match (terminal, global.output) {
        (TerminalState::Missing, _) => Some("without a terminal"),
        (TerminalState::Background, _) => Some("in the background of a terminal"),
        (_, Output::Json) => Some("with --output json"),
        (_, Output::Human) if global.quiet => Some("with --quiet, which does not show it"),
        (_, Output::Human) => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_prompt_needs_a_terminal_that_shows_the_plan() {
        for (line, terminal, expected) in [
            (&["tailwatch"][..], TerminalState::Present, None),
            (&["tailwatch"], TerminalState::Missing, Some("without a terminal")),
            (&["tailwatch"], TerminalState::Background, Some("in the background of a terminal")),
            (&["tailwatch", "-q"], TerminalState::Present, Some("with --quiet, which does not show it")),
            (&["tailwatch", "--output", "json"], TerminalState::Present, Some("with --output json")),
        ] {
            assert_eq!(obstacle(&Cli::parse_from(line).global, terminal), expected, "{line:?}");
        }
    }
}

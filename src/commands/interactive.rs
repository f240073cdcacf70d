//! Whether a command can ask a question.

use std::io::IsTerminal;

use crate::cli::{GlobalArgs, Output};
use crate::error::Error;
use crate::report;

/// Whether questions can be asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// A person at a terminal sees the plan and answers.
    Person,
    /// No question is asked.
    Nobody,
}

impl Audience {
    /// Both the terminal and a plan on it are needed: with `--quiet` or `--output json` there is nothing to agree to.
    pub(super) fn of(global: &GlobalArgs) -> Audience {
        if obstacle(global, Terminals::now()).is_none() { Audience::Person } else { Audience::Nobody }
    }

    /// The wrong command line of a command that needs an answer; `what` is a fragment such as "nobody can confirm
    /// the plan".
    pub(super) fn refused(global: &GlobalArgs, what: &str, hint: &str) -> Error {
        let obstacle = obstacle(global, Terminals::now()).unwrap_or("without a terminal");
        Error::Usage { message: format!("{what} {obstacle}"), hint: Some(hint.to_owned()) }
    }
}

/// Whether a question can be shown and its answer be read.
#[derive(Clone, Copy)]
enum Terminals {
    Present,
    Missing,
    /// There is one, and a background job would be stopped by reading it.
    OfOthers,
}

impl Terminals {
    fn now() -> Terminals {
        let present = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        match present {
            true if report::is_in_foreground() => Terminals::Present,
            true => Terminals::OfOthers,
            false => Terminals::Missing,
        }
    }
}

/// Why no question can be asked.
fn obstacle(global: &GlobalArgs, terminals: Terminals) -> Option<&'static str> {
    match (terminals, global.output) {
        (Terminals::Missing, _) => Some("without a terminal"),
        (Terminals::OfOthers, _) => Some("in the background of a terminal"),
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
    fn a_question_needs_a_terminal_that_shows_what_it_is_about() {
        for (line, terminals, expected) in [
            (&["tailwatch"][..], Terminals::Present, None),
            (&["tailwatch"], Terminals::Missing, Some("without a terminal")),
            (&["tailwatch"], Terminals::OfOthers, Some("in the background of a terminal")),
            (&["tailwatch", "-q"], Terminals::Present, Some("with --quiet, which does not show it")),
            (&["tailwatch", "--output", "json"], Terminals::Present, Some("with --output json")),
        ] {
            assert_eq!(obstacle(&Cli::parse_from(line).global, terminals), expected, "{line:?}");
        }
    }
}

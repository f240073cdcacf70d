//! Colour policy: only the terminal's sixteen colours and bold, which follow its theme. Colour never carries the only
//! meaning.

use std::io::IsTerminal;

use crate::cli::{ColorChoice, GlobalArgs};

/// How text is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether to colour.
    pub color: bool,
    /// Whether notices are left out.
    pub quiet: bool,
}

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Warning,
    Bad,
    Strong,
    Faint,
    Plain,
}

impl Style {
    /// From `--color`, `--quiet`, NO_COLOR, TERM and whether both streams are terminals.
    pub fn resolve(global: &GlobalArgs) -> Style {
        let color = match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
                let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                // The same for both streams: a redirected stdout is data and has no colours.
                wanted && !dumb && std::io::stderr().is_terminal() && std::io::stdout().is_terminal()
            }
        };
        Style { color, quiet: global.quiet }
    }

    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        let style = console::Style::new().force_styling(self.color);
        let style = match tone {
            Tone::Good => style.green(),
            Tone::Warning => style.yellow(),
            Tone::Bad => style.red().bold(),
            Tone::Strong => style.bold(),
            Tone::Faint => style.dim(),
            Tone::Plain => style,
        };
        style.apply_to(text).to_string()
    }
}

//! Colour policy. Only the terminal's own sixteen colours and bold are used, so that every theme stays legible;
//! no meaning is in the colour alone.

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
    Doubtful,
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
                // One answer for both streams: a redirected stdout is data and stays plain.
                wanted && !dumb && std::io::stderr().is_terminal() && std::io::stdout().is_terminal()
            }
        };
        Style { color, quiet: global.quiet }
    }

    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        let style = console::Style::new().force_styling(self.color);
        let style = match tone {
            Tone::Good => style.green(),
            Tone::Doubtful => style.yellow(),
            Tone::Bad => style.red().bold(),
            Tone::Strong => style.bold(),
            Tone::Faint => style.dim(),
            Tone::Plain => style,
        };
        style.apply_to(text).to_string()
    }
}

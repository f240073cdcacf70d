//! Colours: only the terminal's sixteen and bold, which follow its theme. Colour never carries the only meaning.

use crate::foreign_text::styled;

/// How text is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether to colour.
    pub color: bool,
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
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        let codes = match tone {
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31;1",
            Tone::Strong => "1",
            Tone::Faint => "2",
            Tone::Plain => return text.to_owned(),
        };
        if self.color { styled(text, codes) } else { text.to_owned() }
    }
}

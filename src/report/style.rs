//! Colours: only the terminal's sixteen and bold, which follow its theme. Colour never carries the only meaning.

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

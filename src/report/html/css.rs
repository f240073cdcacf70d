//! The style sheet and its classes.

use crate::report::style::Tone;

pub(super) const STYLE: &str = include_str!("page.css");

pub(super) fn tone_class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Warning => "warning",
        Tone::Bad => "bad",
        Tone::Strong | Tone::Faint | Tone::Plain => "plain",
    }
}

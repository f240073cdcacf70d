//! The one renderer of errors: `error:`, causes, `hint:`.

use std::error::Error as _;

use crate::error::Error;
use crate::report::style::{Style, Tone};
use crate::report::{width, wrap, write_stderr};

/// Writes the error, its causes and its hint to stderr.
pub fn render(error: &Error, style: &Style) {
    write_stderr(&text(error, *style, width()));
}

fn text(error: &Error, style: Style, width: usize) -> String {
    let mut lines = Vec::new();
    let mut said = error.to_string();
    lines.push(wrap(&format!("{} {said}", style.paint(Tone::Bad, "error:")), "       ", width));
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        // A transparent wrapper repeats its source's words.
        if !said.contains(&words) {
            lines.push(wrap(&format!("  because: {words}"), "           ", width));
            said = words;
        }
        source = cause.source();
    }
    if let Some(hint) = error.hint() {
        lines.push(wrap(&format!("{} {hint}", style.paint(Tone::Strong, "hint:")), "      ", width));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{EngineError, StepError};

    #[test]
    fn an_error_its_causes_and_its_hint_are_each_said_once() {
        let source = StepError::Timeout {
            why: "Deployment x: 0/1 pods".into(),
            after: std::time::Duration::from_secs(60),
            diagnosis: None,
        };
        let error = Error::from(EngineError::Step { component: "loki".into(), wave: 32, source });
        let expected = "error: loki failed in wave 32\n  because: not ready within 60 s: Deployment x: 0/1 pods\nhint: mend what it waits for, or give it more time with --timeout; then run the\n      same command again\n";
        assert_eq!(text(&error, Style { color: false }, 80), expected);
    }
}

//! Redraws a frame below the terminal's text.
//!
//! The cursor rests at the beginning of the frame: after a resize the rows of the last frame are unknown, since
//! terminals reflow, cut or keep lines, but all of them keep the cursor's line.

use std::io::Write;

use crate::foreign_text::printable;
use crate::report::live::layout::Size;

/// Where frames are drawn.
pub(in crate::report) trait Terminal: Write + Send {
    /// Current size; it may change at any time.
    fn size(&self) -> Size;

    /// Columns for wrapped text.
    fn text_width(&self) -> usize {
        self.size().columns.clamp(40, 120)
    }
}

/// stderr; a pipe counts as 100 columns.
pub(in crate::report) struct Stderr(console::Term);

impl Stderr {
    pub(in crate::report) fn new() -> Stderr {
        Stderr(console::Term::stderr())
    }
}

impl Terminal for Stderr {
    fn size(&self) -> Size {
        let (rows, columns) = self.0.size_checked().unwrap_or((24, 100));
        Size { columns: usize::from(columns), rows: usize::from(rows) }
    }
}

impl Write for Stderr {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

pub(in crate::report) struct Screen {
    terminal: Box<dyn Terminal>,
    drawn: Vec<String>,
    size: Size,
}

const ERASE_REST_OF_LINE: &str = "\x1b[K";
const ERASE_BELOW: &str = "\x1b[J";
/// Erases from the cursor's line down. At the top of the screen, ERASE_BELOW at a line's beginning makes tmux move the
/// frame into the scrollback, hence the line is erased first.
const ERASE_FRAME: &str = "\r\x1b[2K\x1b[C\x1b[J\r";
/// Synchronised output, without wrapping: the terminal may be narrower than reported, and a frame must not grow.
/// Terminals without support ignore it.
const HOLD: &str = "\x1b[?2026h\x1b[?7l";
const SHOW: &str = "\x1b[?7h\x1b[?2026l";

impl Screen {
    pub(in crate::report) fn new(terminal: Box<dyn Terminal>) -> Screen {
        let size = terminal.size();
        Screen { terminal, drawn: Vec::new(), size }
    }

    pub(in crate::report) fn terminal(&self) -> &dyn Terminal {
        self.terminal.as_ref()
    }

    /// Draws the frame over the last one. Each line must be narrower than the terminal, and there must not be more of
    /// them than it has rows.
    pub(in crate::report) fn draw(&mut self, frame: Vec<String>, size: Size) {
        let resized = size != self.size;
        if !resized && frame == self.drawn {
            return;
        }
        // After a resize, parts of the old lines may be anywhere below.
        let erase = if resized { ERASE_FRAME } else { "\r" };
        let up = match frame.len() {
            0 | 1 => String::new(),
            lines => format!("\x1b[{}A", lines - 1),
        };
        self.write(&format!("{HOLD}{erase}{}\r{up}{SHOW}", text(&frame)));
        self.drawn = frame;
        self.size = size;
    }

    /// Writes complete lines above the frame; erases the frame until the next draw.
    pub(in crate::report) fn above(&mut self, lines: &str) {
        if lines.is_empty() {
            return;
        }
        self.write(&format!("{ERASE_FRAME}{}", printable(lines).replace('\n', "\r\n")));
        self.drawn.clear();
    }

    /// Keeps the last frame on the screen and moves the cursor below it.
    pub(in crate::report) fn leave(&mut self, frame: &[String]) {
        if !frame.is_empty() {
            self.write(&format!("{HOLD}{ERASE_FRAME}{}\r\n{SHOW}", text(frame)));
        } else if !self.drawn.is_empty() {
            self.write(ERASE_FRAME);
        }
        self.drawn.clear();
    }

    /// A closed terminal must not stop the run.
    fn write(&mut self, text: &str) {
        let _ = self.terminal.write_all(text.as_bytes()).and_then(|()| self.terminal.flush());
    }
}

impl Drop for Screen {
    /// After a panic, messages must not overwrite the frame.
    fn drop(&mut self) {
        if !self.drawn.is_empty() {
            let last = std::mem::take(&mut self.drawn);
            self.leave(&last);
        }
    }
}

/// Overwrites the old lines: erasing first would flicker.
fn text(frame: &[String]) -> String {
    let lines: Vec<String> = frame.iter().map(|line| printable(line) + ERASE_REST_OF_LINE).collect();
    lines.join("\r\n") + ERASE_BELOW
}

//! The terminal that indicatif writes to: a buffer. [`Screen`] places its lines, independent of indicatif's cursor.

use std::fmt::{Debug, Formatter};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::TermLike;

use crate::report::live::layout::Size;
use crate::report::live::region::{Screen, Terminal};

/// Clones share the buffer: one belongs to indicatif, one shows what indicatif drew.
#[derive(Clone)]
pub(in crate::report) struct Canvas(Arc<Mutex<Buffer>>);

struct Buffer {
    screen: Screen,
    /// Size of the current frame, even if the terminal is resized meanwhile.
    size: Size,
    /// Text since the last flush.
    writing: String,
    /// Text between the last two flushes: a complete frame.
    written: String,
}

impl Canvas {
    pub(in crate::report) fn new(terminal: Box<dyn Terminal>) -> Canvas {
        let screen = Screen::new(terminal);
        let size = screen.terminal().size();
        Canvas(Arc::new(Mutex::new(Buffer { screen, size, writing: String::new(), written: String::new() })))
    }

    /// Current size of the terminal.
    pub(in crate::report) fn size(&self) -> Size {
        self.sheet().screen.terminal().size()
    }

    /// Columns for text.
    pub(in crate::report) fn text_width(&self) -> usize {
        self.sheet().screen.terminal().text_width()
    }

    /// Begins a frame of this size.
    pub(in crate::report) fn begin(&self, size: Size) {
        self.sheet().size = size;
    }

    /// Shows indicatif's last frame. indicatif draws one per changed bar; only the last one is complete.
    pub(in crate::report) fn draw(&self) {
        let mut sheet = self.sheet();
        let (frame, size) = (sheet.frame(), sheet.size);
        sheet.screen.draw(frame, size);
    }

    /// Keeps indicatif's last frame on the screen and moves the cursor below it.
    pub(in crate::report) fn leave(&self) {
        let mut sheet = self.sheet();
        let frame = sheet.frame();
        sheet.screen.leave(&frame);
    }

    /// As [`Screen::above`].
    pub(in crate::report) fn above(&self, lines: &str) {
        self.sheet().screen.above(lines);
    }

    /// Usable after a panic in another thread.
    fn sheet(&self) -> MutexGuard<'_, Buffer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    fn frame(&self) -> Vec<String> {
        rows(&self.written, self.size.columns)
    }
}

/// [`Screen`] owns the cursor: moving it and clearing lines do nothing here.
impl TermLike for Canvas {
    fn width(&self) -> u16 {
        u16::try_from(self.sheet().size.columns).unwrap_or(u16::MAX)
    }

    fn height(&self) -> u16 {
        u16::try_from(self.sheet().size.rows).unwrap_or(u16::MAX)
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)?;
        self.write_str("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.sheet().writing += text;
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut sheet = self.sheet();
        sheet.written = std::mem::take(&mut sheet.writing);
        Ok(())
    }
}

impl Debug for Canvas {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Canvas").finish_non_exhaustive()
    }
}

/// Splits the text at the width: indicatif pads most lines with spaces instead of ending them.
fn rows(text: &str, width: usize) -> Vec<String> {
    let (mut rows, mut row, mut columns) = (Vec::new(), String::new(), 0);
    for (part, is_escape) in console::AnsiCodeIterator::new(text) {
        if is_escape {
            row += part;
            continue;
        }
        for character in part.chars() {
            if character != '\n' {
                row.push(character);
                columns += console::measure_text_width(character.encode_utf8(&mut [0; 4]));
            }
            if character == '\n' || columns >= width {
                rows.push(row.trim_end().to_owned());
                row.clear();
                columns = 0;
            }
        }
    }
    if !row.is_empty() {
        rows.push(row.trim_end().to_owned());
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_ends_at_the_width_or_at_a_line_break() {
        for (text, expected) in [
            ("", &[][..]),
            ("wave 30   wave 31   ", &["wave 30", "wave 31"]),
            ("\x1b[1mwave\x1b[0m 30   wave 31", &["\x1b[1mwave\x1b[0m 30", "wave 31"]),
            ("wave 30\n\nwave 31   ", &["wave 30", "", "wave 31"]),
            ("名前名前  next      ", &["名前名前", "next"]),
        ] {
            assert_eq!(rows(text, 10), expected, "{text:?}");
        }
    }
}

//! What indicatif takes for its terminal. It writes its lines here; the screen below places them, so that it never
//! matters where indicatif believes the cursor to be.

use std::fmt::{Debug, Formatter};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::TermLike;

use crate::report::live::layout::Size;
use crate::report::live::region::{Screen, Terminal};

/// Its clones are the same canvas: one is indicatif's, one is kept to show what indicatif drew.
#[derive(Clone)]
pub(in crate::report) struct Canvas(Arc<Mutex<Sheet>>);

struct Sheet {
    screen: Screen,
    /// What indicatif draws for; fixed for a frame, though the terminal be resized meanwhile.
    size: Size,
    /// Since the last flush.
    writing: String,
    /// Between the last two flushes: a whole frame.
    written: String,
}

impl Canvas {
    pub(in crate::report) fn new(terminal: Box<dyn Terminal>) -> Canvas {
        let screen = Screen::new(terminal);
        let size = screen.terminal().size();
        Canvas(Arc::new(Mutex::new(Sheet { screen, size, writing: String::new(), written: String::new() })))
    }

    /// The terminal's, now.
    pub(in crate::report) fn size(&self) -> Size {
        self.sheet().screen.terminal().size()
    }

    /// The terminal's, for text that is read.
    pub(in crate::report) fn text_width(&self) -> usize {
        self.sheet().screen.terminal().text_width()
    }

    /// What is drawn from now on is drawn for this size.
    pub(in crate::report) fn begin(&self, size: Size) {
        self.sheet().size = size;
    }

    /// Shows the frame that indicatif drew last. It draws one after each bar that changes; only when all have changed
    /// is it one to be seen.
    pub(in crate::report) fn draw(&self) {
        let mut sheet = self.sheet();
        let (frame, size) = (sheet.frame(), sheet.size);
        sheet.screen.draw(frame, size);
    }

    /// Leaves the frame that indicatif drew last where it stands and goes on below it.
    pub(in crate::report) fn leave(&self) {
        let mut sheet = self.sheet();
        let frame = sheet.frame();
        sheet.screen.leave(&frame);
    }

    /// As [`Screen::above`].
    pub(in crate::report) fn above(&self, lines: &str) {
        self.sheet().screen.above(lines);
    }

    /// A panic elsewhere leaves it usable.
    fn sheet(&self) -> MutexGuard<'_, Sheet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sheet {
    fn frame(&self) -> Vec<String> {
        rows(&self.written, self.size.columns)
    }
}

/// The cursor is the screen's: moving it and clearing lines do nothing.
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

/// The text as a terminal of this width breaks it: indicatif ends few of its lines and fills them with spaces instead,
/// which are no part of them.
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

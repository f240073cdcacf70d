//! Recorded runs, and an in-memory terminal to replay them into.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};

use super::live::layout::Size;
use super::live::region::Terminal;
use super::reporter::Reporter;
use crate::event::Stamped;

/// An in-memory terminal, and everything that was written to it.
#[derive(Clone)]
pub(super) struct Memory {
    screen: Arc<Mutex<vt100::Parser>>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Memory {
    pub(super) fn new(size: Size) -> Memory {
        let screen = vt100::Parser::new(size.rows as u16, size.columns as u16, 500);
        Memory { screen: Arc::new(Mutex::new(screen)), written: Arc::default() }
    }

    pub(super) fn print(&mut self, text: &str) {
        self.write_all(text.replace('\n', "\r\n").as_bytes()).unwrap();
    }

    pub(super) fn written(&self) -> String {
        String::from_utf8(self.written.lock().unwrap().clone()).unwrap()
    }

    /// The visible rows; no line may be wider than the screen.
    pub(super) fn rows(&self) -> Vec<String> {
        let screen = self.screen.lock().unwrap();
        let (rows, columns) = screen.screen().size();
        assert!((0..rows).all(|row| !screen.screen().row_wrapped(row)), "{}", screen.screen().contents());
        let mut lines: Vec<String> = screen.screen().rows(0, columns).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    /// The visible rows with the scrollback.
    pub(super) fn all(&self) -> String {
        let rows = self.rows();
        let mut screen = self.screen.lock().unwrap();
        let columns = screen.screen().size().1;
        let mut lines = Vec::new();
        screen.screen_mut().set_scrollback(usize::MAX);
        for above in (1..=screen.screen().scrollback()).rev() {
            screen.screen_mut().set_scrollback(above);
            lines.extend(screen.screen().rows(0, columns).next());
        }
        screen.screen_mut().set_scrollback(0);
        lines.extend(rows);
        lines.join("\n")
    }

    /// Resizes without reflow.
    pub(super) fn resize(&self, size: Size) {
        self.screen.lock().unwrap().screen_mut().set_size(size.rows as u16, size.columns as u16);
    }

    /// Resizes with reflow.
    pub(super) fn reflow(&self, size: Size) {
        let rows = self.rows();
        let mut screen = self.screen.lock().unwrap();
        let heights = rows.iter().map(|row| row.chars().count().div_ceil(size.columns).max(1));
        let cursor = usize::from(screen.screen().cursor_position().0);
        let above: usize = heights.clone().take(cursor).sum();
        let scrolled = heights.sum::<usize>().saturating_sub(size.rows);
        *screen = vt100::Parser::new(size.rows as u16, size.columns as u16, 500);
        screen.process(rows.join("\r\n").as_bytes());
        screen.process(format!("\x1b[{};1H", above.saturating_sub(scrolled) + 1).as_bytes());
    }
}

impl Write for Memory {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.screen.lock().unwrap().process(buffer);
        self.written.lock().unwrap().extend(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Terminal for Memory {
    fn size(&self) -> Size {
        let (rows, columns) = self.screen.lock().unwrap().screen().size();
        Size { columns: columns.into(), rows: rows.into() }
    }
}

pub(super) fn recorded(run: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/runs");
    std::fs::read_to_string(folder.join(run).with_extension("jsonl")).unwrap()
}

pub(super) fn events(run: &str) -> Vec<Stamped> {
    recorded(run).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Shows the events up to `until`, with the ticks in between.
pub(super) fn replay(
    reporter: &mut dyn Reporter,
    events: &mut std::iter::Peekable<std::slice::Iter<'_, Stamped>>,
    until: Timestamp,
) {
    while let Some(stamped) = events.next_if(|stamped| stamped.time <= until) {
        reporter.event(stamped);
        let next = events.peek().map_or(until, |next| next.time.min(until));
        let mut now = stamped.time;
        while now < next {
            reporter.tick(now);
            now += SignedDuration::from_millis(500);
        }
    }
    reporter.tick(until);
}

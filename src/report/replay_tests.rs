//! Recorded runs, and an in-memory terminal to replay them into.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};

use super::live::layout::Size;
use super::live::region::Terminal;
use super::reporter::Reporter;
use crate::event::{Explanation, TimedEvent};
use crate::explanations::meanings_of;
use crate::plan::OWN_OBJECTS;

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

pub(super) fn events(run: &str) -> Vec<TimedEvent> {
    recorded(run).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Shows the events up to `until`, with the ticks in between.
pub(super) fn replay(
    reporter: &mut dyn Reporter,
    events: &mut std::iter::Peekable<std::slice::Iter<'_, TimedEvent>>,
    until: Timestamp,
) {
    while let Some(timed) = events.next_if(|timed| timed.time <= until) {
        reporter.event(timed);
        let next = events.peek().map_or(until, |next| next.time.min(until));
        let mut now = timed.time;
        while now < next {
            reporter.tick(now);
            now += SignedDuration::from_millis(500);
        }
    }
    reporter.tick(until);
}

/// The parts of a text between its placeholders, `{…}` or `<…>`.
fn fixed_parts(template: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once(['{', '<']) {
        parts.push(before);
        rest = after.split_once(['}', '>']).map_or("", |(_, after)| after);
    }
    parts.push(rest);
    parts
}

/// Whether a text comes from a template, with anything in the place of its placeholders.
fn is_of(template: &str, text: &str) -> bool {
    let parts = fixed_parts(template);
    let mut rest = text;
    for (index, part) in parts.iter().enumerate() {
        let at = if index == 0 { rest.starts_with(part).then_some(0) } else { rest.find(part) };
        let Some(at) = at else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || parts.last().is_some_and(|last| last.is_empty() || text.ends_with(last))
}

/// The string literals of the product's code that say something: one word and more outside of placeholders.
fn literals() -> Vec<String> {
    fn read(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                read(&entry, found);
            } else if !entry.display().to_string().ends_with("tests.rs") {
                let source = std::fs::read_to_string(&entry).unwrap().replace("'\"'", "");
                let code = source.split("#[cfg(test)]").next().unwrap_or_default();
                let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
                found.extend(lines.collect::<Vec<_>>().join("\n").split('"').skip(1).step_by(2).map(str::to_owned));
            }
        }
    }
    let mut found = Vec::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.retain(|text| fixed_parts(text).concat().chars().filter(|c| c.is_alphabetic()).count() >= 5);
    found
}

/// Ids, statements, causes, and the sentences of steps, waits and retained objects are those of today's product.
#[test]
fn recorded_runs_have_todays_ids_and_texts() {
    let literals = literals();
    let said = |text: &str| literals.iter().any(|literal| is_of(literal, text));
    let mut outdated = std::collections::BTreeSet::new();
    let mut is_of_product = |is_so: bool, what: &str| {
        if !is_so {
            outdated.insert(what.to_owned());
        }
    };
    for run in super::golden_tests::names() {
        for line in recorded(run).lines() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let with = |first: &serde_json::Value, list: &str| -> Vec<serde_json::Value> {
                std::iter::once(first).chain(event[list].as_array().into_iter().flatten()).cloned().collect()
            };
            for check in with(&event, "checks").iter().filter(|check| check["statement"].is_string()) {
                let meanings = meanings_of(&text(&check["id"])).unwrap_or_default();
                let is_so = meanings.iter().any(|one| one.meaning == text(&check["statement"]));
                is_of_product(is_so, &format!("{}: {}", check["id"], check["statement"]));
            }
            for found in with(&event["diagnosis"], "findings").iter().filter(|found| found.is_object()) {
                let meanings = meanings_of(&text(&found["rule"])).unwrap_or_default();
                let is_so = |one: &Explanation| {
                    is_of(&one.meaning, &text(&found["cause"])) && is_of(&one.next, &text(&found["hint"]))
                };
                is_of_product(meanings.iter().any(is_so), &format!("{found}"));
            }
            // The reason of the own objects counts them by kind.
            let steps = event["steps"].as_array().into_iter().flatten().filter(|step| step["component"] != OWN_OBJECTS);
            let kept = event["objects"].as_array().into_iter().flatten();
            for sentence in steps.chain(kept).map(|one| text(&one["reason"])).chain([text(&event["waiting"])]) {
                is_of_product(sentence.is_empty() || said(&sentence), &sentence);
            }
        }
    }
    assert!(outdated.is_empty(), "no text of src: {outdated:#?}");
}

//! Live bars, drawn by indicatif: a line per component with the reason it waits below, and one for the checks.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

use crate::event::{Event, TimedEvent};
use crate::report::diagnosis_table::Others;
use crate::report::live::indicatif_term::Canvas;
use crate::report::live::layout::{Line, Progress, Size, View, fitting_frame, frame};
use crate::report::live::region::Terminal;
use crate::report::live::state::Board;
use crate::report::reporter::Reporter;
use crate::report::style::Style;
use crate::report::wrap::{one_line, wrap};

pub(in crate::report) struct Bars {
    style: Style,
    board: Board,
    others: Others,
    now: Timestamp,
    canvas: Canvas,
    all: MultiProgress,
    /// From the top of the frame down.
    drawn: Vec<DrawnLine>,
}

/// A line of the frame.
struct DrawnLine {
    bar: ProgressBar,
    template: String,
}

impl Bars {
    pub(in crate::report) fn new(style: Style, terminal: Box<dyn Terminal>) -> Bars {
        let canvas = Canvas::new(terminal);
        // No rate limit: it draws only on request.
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::term_like(Box::new(canvas.clone())));
        let (board, others) = (Board::default(), Others::default());
        Bars { style, board, others, now: Timestamp::now(), canvas, all, drawn: Vec::new() }
    }

    fn draw(&mut self) {
        let view = self.view(self.canvas.size());
        self.render(fitting_frame(&self.board, view), view.size);
        self.canvas.draw();
    }

    fn view(&self, size: Size) -> View {
        View { style: self.style, now: self.now, size }
    }

    /// Draws the frame into the canvas; not shown yet.
    fn render(&mut self, frame: Vec<Line>, size: Size) {
        self.canvas.begin(size);
        for line in self.drawn.drain(frame.len().min(self.drawn.len())..) {
            self.all.remove(&line.bar);
        }
        while self.drawn.len() < frame.len() {
            self.drawn.push(DrawnLine { bar: self.all.add(ProgressBar::hidden()), template: String::new() });
        }
        if frame.is_empty() {
            // Writing to the canvas never fails.
            let _ = self.all.clear();
        }
        for (drawn, line) in self.drawn.iter_mut().zip(frame) {
            drawn.show(line);
        }
    }
}

impl DrawnLine {
    fn show(&mut self, line: Line) {
        let template = template(&line);
        if self.template != template {
            self.bar.set_style(bar_style(&template));
            self.template = template;
        }
        let Progress { done, total, .. } = line.progress.unwrap_or_default();
        let bar = self.bar.clone().with_prefix(line.prefix).with_message(line.message);
        // The only one of these calls that draws.
        bar.update(|state| {
            state.set_len(total);
            state.set_pos(done);
        });
    }
}

fn template(line: &Line) -> String {
    match line.progress {
        Some(Progress { columns, .. }) => format!("{{prefix}}[{{bar:{columns}}}]  {{msg}}"),
        None if line.prefix.is_empty() => "{msg}".to_owned(),
        None => "{prefix}{msg}".to_owned(),
    }
}

/// Every template is from this file and parses.
fn bar_style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("= ")
}

impl Reporter for Bars {
    fn event(&mut self, timed: &TimedEvent) {
        self.now = timed.time;
        self.board.apply(timed);
        self.others.apply(&timed.event);
        if let Event::Notice { message, hint } = &timed.event {
            let width = self.canvas.text_width();
            self.canvas.above(&(wrap(&one_line(message), "", width) + "\n"));
            if let Some(hint) = hint {
                self.canvas.above(&(wrap(&format!("hint: {}", one_line(hint)), "      ", width) + "\n"));
            }
            self.draw();
        }
    }

    fn tick(&mut self, now: Timestamp) {
        self.now = now;
        self.draw();
    }

    fn end(&mut self) {
        // The final report lists the verdicts.
        self.board.checks = None;
        // Without a limit of rows: the rest scrolls.
        let view = self.view(Size { rows: usize::MAX, ..self.canvas.size() });
        self.render(frame(&self.board, view), view.size);
        self.canvas.leave();
        // Separates the error from the frame.
        if self.board.has_failed() {
            self.canvas.above("\n");
        }
        let others = self.others.text(self.style, self.canvas.text_width());
        self.canvas.above(&others);
    }
}

//! Live bars: a line per component with what it waits for below, one for the checks.

use jiff::Timestamp;

use crate::event::{Event, Stamped};
use crate::report::Reporter;
use crate::report::board::Board;
use crate::report::findings::Others;
use crate::report::frame::{View, fitting_frame, frame};
use crate::report::screen::{Screen, Terminal};
use crate::report::style::Style;
use crate::report::text::{one_line, wrap};

pub(super) struct Bars {
    style: Style,
    screen: Screen,
    board: Board,
    others: Others,
    now: Timestamp,
}

impl Bars {
    pub(super) fn new(style: Style, terminal: Box<dyn Terminal>) -> Bars {
        let screen = Screen::new(terminal);
        Bars { style, screen, board: Board::default(), others: Others::default(), now: Timestamp::now() }
    }

    fn draw(&mut self) {
        let view = self.view();
        self.screen.draw(fitting_frame(&self.board, view), view.size);
    }

    fn view(&self) -> View {
        View { style: self.style, now: self.now, size: self.screen.terminal().size() }
    }
}

impl Reporter for Bars {
    fn event(&mut self, stamped: &Stamped) {
        self.now = stamped.time;
        self.board.apply(stamped);
        self.others.apply(&stamped.event);
        if let Event::Notice { message, hint } = &stamped.event {
            let width = self.screen.terminal().text_width();
            self.screen.above(&(wrap(&one_line(message), "", width) + "\n"));
            if let Some(hint) = hint {
                self.screen.above(&(wrap(&format!("hint: {}", one_line(hint)), "      ", width) + "\n"));
            }
            self.draw();
        }
    }

    fn tick(&mut self, now: Timestamp) {
        self.now = now;
        self.draw();
    }

    fn end(&mut self) {
        // The verdicts are told whole below.
        self.board.checks = None;
        let mut last = frame(&self.board, self.view());
        // They begin with an empty line of their own.
        if self.board.has_failed() {
            last.push(String::new());
        }
        self.screen.leave(&last);
        let others = self.others.text(self.style, self.screen.terminal().text_width());
        self.screen.above(&others);
    }
}

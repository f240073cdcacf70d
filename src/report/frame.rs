//! The lines that show a run at a moment: a pure function of the board, the time and the size of the terminal.

use jiff::{SignedDuration, Timestamp};

use crate::event::Severity;
use crate::report::board::{Board, Checks, Running, State, Step};
use crate::report::style::{Style, Tone};
use crate::report::text::{cut, one_line, whole, wrap};
use crate::report::words::{ending, phase_words, severity_tone};

/// Cells of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// How a frame is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) style: Style,
    pub(super) now: Timestamp,
    pub(super) size: Size,
}

/// `wave 30  ` stands before a component; what belongs to it stands below its name.
const INDENT: &str = "         ";
/// Columns between the ends of a bar, the widest first.
const BARS: [usize; 2] = [20, 10];
/// Columns of the longest counts, elapsed time and estimate, so that a bar does not come and go.
const BESIDE_BAR: usize = "  10/10 ready  59m 59s".len();
const ESTIMATE: usize = ", usually 59m 59s, some 59m 59s left".len();
/// A notice is not cut like a reason: what is wrong and the next step must stay legible.
const CAUSE_LINES: usize = 2;
const HINT_LINES: usize = 3;

/// Every line is narrower than the terminal.
pub(super) fn frame(board: &Board, view: View) -> Vec<String> {
    let layout = Layout::of(board, view);
    let steps = board.steps.iter().flat_map(|step| layout.step(board, step));
    steps.chain(board.checks.as_ref().map(|checks| layout.checks(checks))).map(|line| layout.fit(&line)).collect()
}

/// As [`frame`], of no more lines than the terminal shows; what has ended goes first.
pub(super) fn fitting_frame(board: &Board, view: View) -> Vec<String> {
    let mut lines = frame(board, view);
    let rows = view.size.rows.saturating_sub(1);
    let ended = board.steps.iter().take_while(|step| matches!(step.state, State::Ended { .. })).count();
    lines.drain(..lines.len().saturating_sub(rows).min(ended));
    lines.truncate(rows);
    lines
}

struct Layout {
    view: View,
    component: usize,
    version: usize,
    /// Whether the plan knows how long any step usually takes.
    estimates: bool,
}

impl Layout {
    fn of(board: &Board, view: View) -> Layout {
        let widest = |text: fn(&Step) -> &str| board.steps.iter().map(|step| text(step).len()).max().unwrap_or(0);
        Layout {
            view,
            component: widest(|step| &step.planned.component),
            version: widest(|step| &step.planned.chart_version),
            estimates: board.steps.iter().any(|step| step.planned.usual_seconds.is_some()),
        }
    }

    /// A line that is as wide as the terminal may be torn by it.
    fn width(&self) -> usize {
        self.view.size.columns.saturating_sub(1)
    }

    fn fit(&self, line: &str) -> String {
        cut(line, self.width()).trim_end().to_owned()
    }

    fn step(&self, board: &Board, step: &Step) -> Vec<String> {
        let paint = |tone, text: &str| self.view.style.paint(tone, text);
        match &step.state {
            State::Ahead => {
                let wave = step.planned.wave;
                let before = board.steps.iter().map(|step| step.planned.wave).filter(|other| *other < wave).max();
                let waits = before.map_or_else(String::new, |before| format!("waits for wave {before}"));
                vec![format!("{}  {}", self.start(step, Tone::Plain), paint(Tone::Faint, &waits))]
            }
            State::Ended { outcome, seconds, message } => {
                let ending = ending(*outcome, *seconds, message.as_deref(), self.view.style);
                vec![format!("{}  {ending}", self.start(step, Tone::Plain))]
            }
            State::Running(running) => {
                let mut lines = vec![self.running(step, running)];
                lines.extend(self.reason(running));
                lines
            }
        }
    }

    fn start(&self, step: &Step, tone: Tone) -> String {
        let (component, version) = (self.component, self.version);
        let component = format!("{:component$}", step.planned.component);
        let component = self.view.style.paint(tone, &component);
        format!("wave {:<2}  {component} {:<version$}", step.planned.wave, step.planned.chart_version)
    }

    /// In the longest of several wordings that fits.
    fn running(&self, step: &Step, running: &Running) -> String {
        let mut start = self.start(step, Tone::Strong);
        let estimates = if self.estimates { ESTIMATE } else { 0 };
        let beside = console::measure_text_width(&start) + "  []".len() + BESIDE_BAR + estimates;
        if let Some(columns) = BARS.into_iter().find(|columns| beside + columns <= self.width()) {
            let (ready, desired) = running.counts.unwrap_or((0, 1));
            start += &format!("  {}", bar(ready as usize, desired as usize, columns));
        }
        let counts = running.counts.map(|(ready, desired)| format!("  {ready}/{desired}")).unwrap_or_default();
        let ready = if counts.is_empty() { "" } else { " ready" };
        let elapsed = self.view.now.duration_since(running.since);
        let usual = step.planned.usual_seconds.and_then(|seconds| i64::try_from(seconds).ok());
        let (long, short) = times(elapsed, usual.map(SignedDuration::from_secs));
        let wordings = [format!("{counts}{ready}  {long}"), format!("{counts}  {long}"), format!("{counts}  {short}")];
        let room = self.width().saturating_sub(console::measure_text_width(&start));
        let wording = wordings.iter().find(|wording| wording.len() <= room).unwrap_or(&wordings[2]);
        start + wording
    }

    /// What it waits for, on one line; with the next step below where it waits longer than usual.
    fn reason(&self, running: &Running) -> Vec<String> {
        let waiting = running.waiting.as_deref().unwrap_or_else(|| phase_words(running.phase));
        let Some(delay) = &running.delay else { return vec![format!("{INDENT}{}", one_line(waiting))] };
        let severity = delay.diagnosis.as_ref().map_or(Severity::Deadline, |diagnosis| diagnosis.severity);
        let mark = self.view.style.paint(severity_tone(severity), "!");
        let Some(diagnosis) = &delay.diagnosis else {
            let waiting = running.waiting.as_deref().unwrap_or(&delay.waiting);
            return vec![format!("{INDENT}{mark} longer than usual: {}", one_line(waiting))];
        };
        let cause = format!("{INDENT}{mark} {}", one_line(&diagnosis.cause));
        let mut lines = self.paragraph(&cause, CAUSE_LINES);
        if !diagnosis.hint.is_empty() {
            let next = format!("{INDENT}  next: {}", one_line(&diagnosis.hint));
            lines.extend(self.paragraph(&next, HINT_LINES));
        }
        lines
    }

    /// Wrapped, but of no more lines than these.
    fn paragraph(&self, text: &str, most: usize) -> Vec<String> {
        let wrapped = wrap(text, &format!("{INDENT}    "), self.width());
        let mut lines: Vec<String> = wrapped.lines().take(most).map(str::to_owned).collect();
        if wrapped.lines().count() > most {
            lines[most - 1] += " …";
        }
        lines
    }

    /// Which are open is what somebody wants to know who waits for the last.
    fn checks(&self, checks: &Checks) -> String {
        let done = checks.total.saturating_sub(checks.open.len());
        let failed = match checks.failed {
            0 => String::new(),
            failed => self.view.style.paint(Tone::Bad, &format!("  {failed} failed")),
        };
        let open: Vec<&str> = checks.open.iter().map(String::as_str).collect();
        format!("checks   {} {done}/{}{failed}  {}", bar(done, checks.total, BARS[0]), checks.total, open.join(", "))
    }
}

fn bar(done: usize, total: usize, columns: usize) -> String {
    let full = (done * columns).checked_div(total).unwrap_or(0).min(columns);
    format!("[{:<columns$}]", "=".repeat(full))
}

/// Elapsed and expected remaining time, long and short.
fn times(elapsed: SignedDuration, usual: Option<SignedDuration>) -> (String, String) {
    let elapsed_words = whole(elapsed);
    let Some(usual) = usual else { return (elapsed_words.clone(), elapsed_words) };
    let usually = format!("{elapsed_words}, usually {}", whole(usual));
    // Both in whole seconds, so that they add up to what is usual.
    let left = usual - SignedDuration::from_secs(elapsed.as_secs().max(0));
    if left <= SignedDuration::ZERO {
        return (usually.clone(), usually);
    }
    let left = whole(left);
    (format!("{usually}, some {left} left"), format!("{elapsed_words}, some {left} left"))
}

//! The lines of a frame: a pure function of the board, the time and the terminal's size. Bars have only their progress
//! and width here.

use jiff::{SignedDuration, Timestamp};

use crate::event::Severity;
use crate::report::labels::{ending, phase_label, severity_tone};
use crate::report::live::state::{Board, Checks, Running, State, Step};
use crate::report::style::{Style, Tone};
use crate::report::wrap::{cut, one_line, whole, wrap};

/// Cells of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) struct Size {
    pub(in crate::report) columns: usize,
    pub(in crate::report) rows: usize,
}

/// How a frame is drawn.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct View {
    pub(in crate::report) style: Style,
    pub(in crate::report) now: Timestamp,
    pub(in crate::report) size: Size,
}

/// One line; narrower than the terminal, which may wrap a line of its full width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::report) struct Line {
    pub(in crate::report) prefix: String,
    /// Between the other two.
    pub(in crate::report) progress: Option<Progress>,
    pub(in crate::report) message: String,
}

/// Progress of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) struct Progress {
    pub(in crate::report) done: u64,
    pub(in crate::report) total: u64,
    /// Between its ends.
    pub(in crate::report) columns: usize,
}

impl Default for Progress {
    /// An empty bar; a total of 0 would be full.
    fn default() -> Progress {
        Progress { done: 0, total: 1, columns: 0 }
    }
}

impl Progress {
    /// Including its ends and the gap before the message.
    fn width(self) -> usize {
        self.columns + "[]  ".len()
    }
}

impl Line {
    fn text(message: String) -> Line {
        Line { prefix: String::new(), progress: None, message }
    }

    /// Cut to this width; a bar that does not fit is left out.
    fn fit(self, width: usize) -> Line {
        let prefix = cut(&self.prefix, width).into_owned();
        let room = width.saturating_sub(console::measure_text_width(&prefix));
        let progress = self.progress.filter(|progress| progress.width() <= room);
        let room = room - progress.map_or(0, Progress::width);
        Line { prefix, progress, message: cut(&self.message, room).into_owned() }
    }
}

/// Columns of `wave 30  `; details of a component are indented by it.
const INDENT: &str = "         ";
/// Columns between the ends of a bar, the widest first.
const BARS: [usize; 2] = [20, 10];
/// Columns of the longest counts, elapsed time and estimate: with less room a bar would appear and disappear.
const BESIDE_BAR: usize = "10/10 ready  59m 59s".len();
const ESTIMATE: usize = ", usually 59m 59s, about 59m 59s left".len();
/// Cause and next step get more lines than a reason, which is cut to one.
const CAUSE_LINES: usize = 2;
const HINT_LINES: usize = 3;

/// All lines, even if the terminal has fewer rows.
pub(in crate::report) fn frame(board: &Board, view: View) -> Vec<Line> {
    let layout = Layout::of(board, view);
    let steps = board.steps.iter().flat_map(|step| layout.step(board, step));
    let lines = steps.chain(board.checks.as_ref().map(|checks| layout.checks(checks)));
    lines.map(|line| line.fit(layout.width())).collect()
}

/// As [`frame`], limited to the terminal's rows; ended steps are left out first.
pub(in crate::report) fn fitting_frame(board: &Board, view: View) -> Vec<Line> {
    let mut lines = frame(board, view);
    let rows = view.size.rows.saturating_sub(1);
    let ended = board.steps.iter().take_while(|step| matches!(step.state, State::Finished { .. })).count();
    lines.drain(..lines.len().saturating_sub(rows).min(ended));
    lines.truncate(rows);
    lines
}

struct Layout {
    view: View,
    component: usize,
    version: usize,
    /// Whether any step has a usual duration.
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

    /// Width of the longest line.
    fn width(&self) -> usize {
        self.view.size.columns.saturating_sub(1)
    }

    fn step(&self, board: &Board, step: &Step) -> Vec<Line> {
        let plain = |message| vec![Line { prefix: self.start(step, Tone::Plain), progress: None, message }];
        match &step.state {
            State::Pending => {
                let wave = step.planned.wave;
                // An uninstall runs the waves in reverse: the order of the plan counts.
                let before = board.steps.iter().map(|step| step.planned.wave).take_while(|other| *other != wave).last();
                let waits = before.map_or_else(String::new, |before| format!("waits for wave {before}"));
                plain(self.view.style.paint(Tone::Faint, &waits))
            }
            State::Finished { outcome, seconds } => plain(ending(*outcome, *seconds, self.view.style)),
            State::Running(running) => {
                let mut lines = vec![self.running(step, running)];
                lines.extend(self.reason(running).into_iter().map(Line::text));
                lines
            }
        }
    }

    fn start(&self, step: &Step, tone: Tone) -> String {
        let (component, version) = (self.component, self.version);
        let component = format!("{:component$}", step.planned.component);
        let component = self.view.style.paint(tone, &component);
        format!("wave {:<2}  {component} {:<version$}  ", step.planned.wave, step.planned.chart_version)
    }

    /// With the longest text that fits.
    fn running(&self, step: &Step, running: &Running) -> Line {
        let prefix = self.start(step, Tone::Strong);
        let progress = self.progress(&prefix, running);
        let elapsed = self.view.now.duration_since(running.since);
        let usual = step.planned.usual_seconds.and_then(|seconds| i64::try_from(seconds).ok());
        let left = running.ends.map(|ends| ends.duration_since(self.view.now));
        let (long, short) = times(elapsed, usual.map(SignedDuration::from_secs), left);
        let candidates = match running.counts {
            Some((ready, desired)) => vec![
                format!("{ready}/{desired} ready  {long}"),
                format!("{ready}/{desired}  {long}"),
                format!("{ready}/{desired}  {short}"),
            ],
            None => vec![long, short],
        };
        let taken = console::measure_text_width(&prefix) + progress.map_or(0, Progress::width);
        let room = self.width().saturating_sub(taken);
        let message = candidates.iter().find(|text| text.len() <= room).or(candidates.last());
        let message = message.cloned().unwrap_or_default();
        Line { prefix, progress, message }
    }

    /// The widest bar that leaves room for the longest text.
    fn progress(&self, prefix: &str, running: &Running) -> Option<Progress> {
        let estimates = if self.estimates { ESTIMATE } else { 0 };
        let beside = console::measure_text_width(prefix) + BESIDE_BAR + estimates;
        let (ready, desired) = running.counts.unwrap_or((0, 1));
        let bar = |columns| Progress { done: ready.into(), total: desired.into(), columns };
        BARS.into_iter().map(bar).find(|bar| beside + bar.width() <= self.width())
    }

    /// The reason, on one line; with a delay, cause and next step.
    fn reason(&self, running: &Running) -> Vec<String> {
        let waiting = running.waiting.as_deref().unwrap_or_else(|| phase_label(running.phase));
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

    /// Wrapped to at most `most` lines.
    fn paragraph(&self, text: &str, most: usize) -> Vec<String> {
        let wrapped = wrap(text, &format!("{INDENT}    "), self.width());
        let mut lines: Vec<String> = wrapped.lines().take(most).map(str::to_owned).collect();
        if wrapped.lines().count() > most {
            lines[most - 1] += " …";
        }
        lines
    }

    /// Lists the open checks: the user waits for them.
    fn checks(&self, checks: &Checks) -> Line {
        let done = checks.total.saturating_sub(checks.open.len());
        let failed = match checks.failed {
            0 => String::new(),
            failed => self.view.style.paint(Tone::Bad, &format!("  {failed} failed")),
        };
        let open: Vec<&str> = checks.open.iter().map(String::as_str).collect();
        let message = format!("{done}/{}{failed}  {}", checks.total, open.join(", "));
        let progress = Progress { done: done as u64, total: checks.total.max(1) as u64, columns: BARS[0] };
        Line { prefix: "checks   ".to_owned(), progress: Some(progress), message }
    }
}

/// Elapsed and expected remaining time, long and short; `left` is measured and comes before the usual duration.
fn times(elapsed: SignedDuration, usual: Option<SignedDuration>, left: Option<SignedDuration>) -> (String, String) {
    let short = whole(elapsed);
    let long = usual.map_or_else(|| short.clone(), |usual| format!("{short}, usually {}", whole(usual)));
    // In whole seconds: elapsed and remaining time add up to the usual time.
    let left = left.or_else(|| Some(usual? - SignedDuration::from_secs(elapsed.as_secs().max(0))));
    match left.filter(|left| *left > SignedDuration::ZERO) {
        Some(left) => {
            let left = format!(", about {} left", whole(left));
            (long + &left, short + &left)
        }
        None => (long.clone(), long),
    }
}

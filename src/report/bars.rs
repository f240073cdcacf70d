//! Live bars: a line per wave, a line per component, one for the checks.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::event::{Event, PlannedStep, Stamped, Verdict};
use crate::report::lines::{outcome_tone, outcome_words, phase_words};
use crate::report::style::{Style, Tone};
use crate::report::{Reporter, width, wrap, write_stderr};

const TICK: Duration = Duration::from_millis(120);

pub(super) struct Bars {
    style: Style,
    all: MultiProgress,
    waves: BTreeMap<u8, ProgressBar>,
    steps: BTreeMap<String, ProgressBar>,
    /// Why each running step still waits, below its bar.
    reasons: BTreeMap<String, ProgressBar>,
    checks: Option<ProgressBar>,
}

impl Bars {
    pub(super) fn new(style: Style) -> Bars {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(12));
        Bars { style, all, waves: BTreeMap::new(), steps: BTreeMap::new(), reasons: BTreeMap::new(), checks: None }
    }

    fn bar(&self, template: &str, length: u64) -> ProgressBar {
        let bar = self.all.add(ProgressBar::new(length));
        bar.set_style(bar_style(template));
        bar
    }

    fn start(&mut self, steps: &[PlannedStep]) {
        let widest = steps.iter().map(|step| step.component.len()).max().unwrap_or_default();
        for step in steps {
            if !self.waves.contains_key(&step.wave) {
                let wave = self.bar("{prefix} {wide_msg}", 0);
                wave.set_prefix(self.style.paint(Tone::Strong, &format!("wave {}", step.wave)));
                wave.set_message(self.style.paint(Tone::Faint, "waits for the wave before it"));
                self.waves.insert(step.wave, wave);
            }
            let bar = self.bar("    {prefix} {wide_msg}", 1);
            bar.set_prefix(format!("{:widest$} {:<8}", step.component, step.chart_version));
            self.steps.insert(step.component.clone(), bar);
        }
    }

    fn checks_line(&self, checks: usize) -> ProgressBar {
        let bar = self.bar("{spinner} checks {bar:20} {pos}/{len} {wide_msg}", checks as u64);
        bar.enable_steady_tick(TICK);
        bar
    }
}

/// Every template is a constant of this file and parses.
fn bar_style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ").tick_chars("|/-\\ ")
}

const RUNNING: &str = "  {spinner} {prefix} {bar:20} {pos}/{len} {elapsed:>4}";
/// A line of its own, so that it is legible at 80 columns.
const REASON: &str = "        {wide_msg}";

impl Reporter for Bars {
    fn event(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::RunStarted { steps, .. } => self.start(steps),
            Event::WaveStarted { wave } => {
                if let Some(bar) = self.waves.get(wave) {
                    bar.set_message("");
                    bar.reset_elapsed();
                }
            }
            Event::StepStarted { component, .. } => {
                if let Some(bar) = self.steps.get(component) {
                    bar.reset_elapsed();
                    bar.set_style(bar_style(RUNNING));
                    bar.enable_steady_tick(TICK);
                    let reason = self.all.insert_after(bar, ProgressBar::new(0));
                    reason.set_style(bar_style(REASON));
                    self.reasons.insert(component.clone(), reason);
                }
            }
            Event::StepProgress { component, phase, ready, desired, waiting, .. } => {
                if let Some(bar) = self.steps.get(component) {
                    bar.set_length(u64::from(*desired).max(1));
                    bar.set_position(u64::from(*ready));
                }
                if let Some(reason) = self.reasons.get(component) {
                    reason.set_message(waiting.clone().unwrap_or_else(|| phase_words(*phase).into()));
                }
            }
            // Why it failed is told whole below, once the bars stand still.
            Event::StepFinished { component, outcome, seconds, .. } => {
                if let Some(reason) = self.reasons.remove(component) {
                    reason.finish_and_clear();
                    self.all.remove(&reason);
                }
                if let Some(bar) = self.steps.get(component) {
                    let words = self.style.paint(outcome_tone(*outcome), outcome_words(*outcome));
                    bar.disable_steady_tick();
                    bar.set_style(bar_style("    {prefix} {wide_msg}"));
                    bar.finish_with_message(format!("{words} {seconds:.1} s"));
                }
            }
            Event::WaveFinished { wave, seconds } => {
                if let Some(bar) = self.waves.get(wave) {
                    bar.finish_with_message(format!("ready {seconds:.1} s"));
                }
            }
            Event::Notice { message, .. } => {
                self.all.suspend(|| write_stderr(&(wrap(message, "", width()) + "\n")));
            }
            Event::StepDelayed { .. } | Event::Diagnosed { .. } => {}
            Event::ChecksStarted { checks } => self.checks = Some(self.checks_line(checks.len())),
            Event::CheckFinished(check) => {
                if let Some(bar) = &self.checks {
                    bar.inc(1);
                    if check.verdict == Verdict::Fail {
                        bar.set_message(format!("{} failed", check.id));
                    }
                }
            }
            Event::RunFinished(_) => self.finish(),
        }
    }
}

impl Bars {
    fn finish(&mut self) {
        if let Some(checks) = self.checks.take() {
            checks.finish_and_clear();
        }
        // Once only: a bar that is touched again is drawn again, over whatever was written since.
        for wave in self.waves.values().filter(|wave| !wave.is_finished()) {
            wave.set_message(self.style.paint(Tone::Faint, "not completed"));
        }
        for bar in std::mem::take(&mut self.waves).into_values().chain(std::mem::take(&mut self.steps).into_values()) {
            bar.disable_steady_tick();
            bar.abandon();
        }
    }
}

impl Drop for Bars {
    /// `verify` has no run that finishes.
    fn drop(&mut self) {
        self.finish();
    }
}

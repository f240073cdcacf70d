//! The versions of each component and the timeline of the steps.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::event::StepOutcome;
use crate::report::html::css::tone_class;
use crate::report::labels::{action_label, ending};
use crate::report::record::{Component, ComponentState, Facts, StepEnd, StepFacts};
use crate::report::style::{Style, Tone};
use crate::report::wrap::{took, whole};

/// A row per component.
pub(super) fn versions(facts: &Facts) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "component" }
                th scope="col" { "chart" }
                th scope="col" { "application" }
                th scope="col" { "outcome" }
            } }
            tbody {
                @for component in &facts.components {
                    tr {
                        th scope="row" { (component.name) }
                        td { (chart(component, facts)) }
                        td { (component.app_version.as_deref().unwrap_or("not known")) }
                        td { (state(component, facts)) }
                    }
                }
            }
        }
    }
}

fn step_of<'a>(component: &Component, facts: &'a Facts) -> Option<&'a StepFacts> {
    facts.steps.iter().find(|step| step.planned.component == component.name)
}

/// `6.46.0`, or `6.46.0 → 6.55.0`
fn chart(component: &Component, facts: &Facts) -> String {
    let from = step_of(component, facts).and_then(|step| step.planned.from_version.as_ref());
    match from.filter(|from| **from != component.chart_version) {
        Some(from) => format!("{from} → {}", component.chart_version),
        None => component.chart_version.clone(),
    }
}

fn state(component: &Component, facts: &Facts) -> String {
    match (step_of(component, facts), &component.state) {
        (Some(step), _) => outcome(step),
        (None, ComponentState::Installed(status)) => status.clone(),
        (None, ComponentState::Planned(action)) => format!("planned: {}", action_label(*action)),
    }
}

fn outcome(step: &StepFacts) -> String {
    match &step.ended {
        Some(end) => ending(end.outcome, end.seconds, Style { color: false }),
        None if step.started.is_some() => "not finished".into(),
        None => "not started".into(),
    }
}

/// A bar per step, from the first step's start to the last step's end.
pub(super) fn waves(facts: &Facts) -> Markup {
    let begin = facts.steps.iter().filter_map(|step| step.started).min().unwrap_or(facts.begun);
    let end = facts.steps.iter().filter_map(|step| until(step, facts.ended)).max().unwrap_or(facts.ended);
    let length = end.duration_since(begin).as_secs_f64().max(0.001);
    html! {
        table {
            thead { tr {
                th scope="col" { "wave" }
                th scope="col" { "component" }
                th scope="col" { "outcome" }
                th.track scope="col" { "from 0s to " (took(length)) }
            } }
            tbody {
                @for step in &facts.steps {
                    tr {
                        td { (step.planned.wave) }
                        th scope="row" { (step.planned.component) }
                        td { (outcome(step)) @if let Some(started) = step.started {
                            span.extra.found { ", from " (whole(started.duration_since(begin))) }
                        } }
                        td.track { (bar(step, facts, (begin, length))) }
                    }
                }
            }
        }
    }
}

fn until(step: &StepFacts, now: Timestamp) -> Option<Timestamp> {
    let started = step.started?;
    let lasted = step.ended.as_ref().map(|end| jiff::SignedDuration::from_secs_f64(end.seconds.clamp(0.0, 1e7)));
    Some(lasted.map_or(now, |lasted| started + lasted))
}

fn bar(step: &StepFacts, facts: &Facts, (begin, length): (Timestamp, f64)) -> Markup {
    let percent = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64() / length * 100.0;
    html! {
        @if let (Some(started), Some(until)) = (step.started, until(step, facts.ended)) {
            @let (left, width) = (percent(begin, started), percent(started, until));
            span.(tone_class(tone(step.ended.as_ref())))
                style=(format!("margin-left:{left:.2}%;width:{width:.2}%")) {}
        }
    }
}

fn tone(end: Option<&StepEnd>) -> Tone {
    match end {
        Some(StepEnd { outcome: StepOutcome::Cancelled, .. }) => Tone::Warning,
        Some(StepEnd { outcome: StepOutcome::Failed, .. }) => Tone::Bad,
        Some(StepEnd { outcome: StepOutcome::Unchanged | StepOutcome::Skipped, .. }) => Tone::Faint,
        Some(_) => Tone::Good,
        None => Tone::Warning,
    }
}

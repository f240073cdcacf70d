//! One HTML page: no external resources, no scripts, light and dark, printable. maud escapes every quoted text.

mod css;
mod data_path_svg;
#[cfg(test)]
mod tests;
mod timeline;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::event::CheckResult;
use crate::report::checks_table::groups;
use crate::report::data_path;
use crate::report::html::css::{STYLE, tone_class};
use crate::report::labels::{verdict_label, verdict_tone};
use crate::report::record::{Ending, Facts, Failure};
use crate::report::summary_line::headline;
use crate::report::wrap::{one_line, took};

/// The document, with local times.
pub(super) fn page(facts: &Facts) -> String {
    page_in(facts, &TimeZone::system())
}

fn page_in(facts: &Facts, zone: &TimeZone) -> String {
    let (tone, headline) = headline(facts);
    let checks = facts.ordered_checks();
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Without it a browser requests /favicon.ico.
                link rel="icon" href="data:,";
                title { "tailwatch " (facts.command) ": " (headline) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "tailwatch " (facts.command) }
                    p.headline.(tone_class(tone)) { (headline) }
                    (surroundings(facts, zone))
                }
                main { (sections(facts, &checks)) }
                footer { "Written by tailwatch " (env!("CARGO_PKG_VERSION")) ". This page loads no external resources." }
            }
        }
    };
    document.into_string()
}

fn sections(facts: &Facts, checks: &[CheckResult]) -> Markup {
    html! {
        @if let Some(failure) = failure(facts) {
            (section("why", "Why", &why(failure)))
        }
        @if data_path::is_tested(checks) {
            (section("path", "Data path", &html! { figure { (data_path_svg::diagram(checks)) } }))
        }
        @if !facts.steps.is_empty() {
            (section("waves", "Waves", &timeline::waves(facts)))
        }
        @if !facts.components.is_empty() {
            (section("versions", "Versions", &timeline::versions(facts)))
        }
        @if !checks.is_empty() {
            (section("checks", "Checks", &verdicts(checks)))
        }
    }
}

fn section(id: &str, title: &str, content: &Markup) -> Markup {
    html! {
        section aria-labelledby=(id) { h2 id=(id) { (title) } (content) }
    }
}

/// The failure of the step, or of the run.
fn failure(facts: &Facts) -> Option<&Failure> {
    match &facts.ending {
        Ending::Failed(failure) | Ending::Interrupted(failure) => {
            let step = facts.failed_step().map(|(_, end)| &end.failure);
            let reported = step.filter(|failure| !failure.causes.is_empty()).unwrap_or(failure);
            (!reported.causes.is_empty() || reported.next.is_some()).then_some(reported)
        }
        Ending::Succeeded | Ending::ChecksFailed => None,
    }
}

fn why(failure: &Failure) -> Markup {
    html! {
        p { (one_line(&failure.message)) }
        @for cause in failure.causes.iter().filter(|cause| !failure.message.contains(*cause)) {
            p { span.label { "cause " } (one_line(cause)) }
        }
        @if let Some(next) = &failure.next {
            p { span.label { "next " } (prose(next)) }
        }
    }
}

fn surroundings(facts: &Facts, zone: &TimeZone) -> Markup {
    let known = facts.surroundings.as_ref();
    let seconds = facts.ended.duration_since(facts.begun).as_secs_f64();
    html! {
        dl.facts {
            div.wide { dt { "when" } dd { (moment(facts.begun, zone)) ", took " (took(seconds)) } }
            @if let Some(known) = known {
                div.wide { dt { "Grafana" } dd { a href=(known.address) { (known.address) } } }
                @if let Some(context) = &known.context {
                    div { dt { "context" } dd { (context) } }
                }
                div { dt { "namespace" } dd { (known.namespace) } }
                div { dt { "Kubernetes" } dd { (known.kubernetes) } }
                div { dt { "helm" } dd { (known.helm) } }
            }
            div { dt { "tailwatch" } dd { (env!("CARGO_PKG_VERSION")) } }
        }
    }
}

fn moment(time: Timestamp, zone: &TimeZone) -> Markup {
    let shown = time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string();
    html! { time datetime=(time) { (shown) } }
}

/// One table with a body per group.
fn verdicts(checks: &[CheckResult]) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "verdict" }
                th scope="col" { "statement" }
                th.number scope="col" { "took" }
            } }
            @for (group, members) in groups(checks) {
                tbody {
                    tr { th scope="rowgroup" colspan="3" { (group) } }
                    @for check in members { (verdict(check)) }
                }
            }
        }
    }
}

fn verdict(check: &CheckResult) -> Markup {
    let detail = one_line(&check.detail);
    html! {
        tr.(tone_class(verdict_tone(check.verdict))) {
            td { span.verdict { (verdict_label(check.verdict)) } }
            td {
                p { (check.statement) }
                @if !detail.is_empty() { p.found { (detail) } }
                @if let Some(hop) = check.hop {
                    p.found { span.label { "hop " } (hop.title()) }
                }
                @if let Some(hint) = &check.hint {
                    p {
                        span.label { "hint " }
                        @for (at, line) in hint.lines().enumerate() {
                            @if at > 0 { br; }
                            (prose(line))
                        }
                    }
                }
                @if let Some(docs) = &check.docs {
                    p { span.label { "docs " } (link(docs)) }
                }
            }
            td.number { (took(check.seconds)) }
        }
    }
}

/// Text in backticks becomes `<code>`.
fn prose(text: &str) -> Markup {
    let text = one_line(text);
    let parts: Vec<&str> = text.split('`').collect();
    html! {
        @for (at, part) in parts.iter().enumerate() {
            @if at % 2 == 1 && at + 1 < parts.len() {
                code { (part) }
            } @else {
                @if at % 2 == 1 { "`" }
                (part)
            }
        }
    }
}

/// Only https addresses become links.
fn link(docs: &str) -> Markup {
    html! {
        @if docs.starts_with("https://") { a href=(docs) { (docs) } } @else { (docs) }
    }
}

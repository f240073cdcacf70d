//! How a row matches.

use serde_json::Value;

use crate::cluster::diagnose::scheduling::clause;
use crate::cluster::diagnose::{Sight, Subject, has_any, time};
use crate::cluster::watch::cache::{condition, crash_of, denied, end_of, last_seen, mark, number, text};

/// What a row looks for in its subject. Phrases match in whatever case; none means any text.
pub(super) enum When {
    /// A container waits with one of these reasons, and its message (or the pod's pull events) has a phrase.
    Waiting(&'static [&'static str], &'static [&'static str]),
    /// A container that is not ready was ended for one of these reasons.
    Killed(&'static [&'static str]),
    /// A container that is not ready ended with an error.
    Crashed,
    /// The same, and its log has a phrase.
    Logged(&'static [&'static str]),
    /// The log of a container of this app has a phrase, whether or not it is well.
    Says { app: &'static str, phrases: &'static [&'static str] },
    /// None of a pod's containers has begun, and a Warning event about it has this reason and phrase.
    Stuck(&'static str, &'static str),
    /// The scheduler's main reason has a phrase.
    Unscheduled(&'static [&'static str]),
    /// The workload's pods or claims cannot be created, and the refusal has a phrase.
    Refused(&'static [&'static str]),
    /// Something that needs a look of its own.
    Fact(fn(&Subject<'_>) -> Option<String>),
    /// The same with more than words.
    Look(fn(&Subject<'_>) -> Option<Sight>),
}

impl When {
    pub(super) fn sees(&self, subject: &Subject<'_>) -> Option<Sight> {
        match self {
            When::Waiting(reasons, phrases) => waiting(subject, reasons, phrases),
            When::Killed(reasons) => end_of(subject.status())
                .filter(|end| reasons.contains(&text(end, "/reason")))
                .map(|end| sight_of_end(subject, end)),
            When::Crashed => crash_of(subject.status()).map(|end| sight_of_end(subject, end)),
            When::Logged(phrases) => {
                let end = crash_of(subject.status())?;
                let line = line_with(subject, phrases)?;
                Some(Sight { evidence: line, ..sight_of_end(subject, end) })
            }
            When::Says { app, phrases } => {
                let is_app =
                    mark(subject.object, "app.kubernetes.io/name") == *app || mark(subject.object, "app") == *app;
                is_app.then(|| line_with(subject, phrases)).flatten().map(|line| Sight::of(&line))
            }
            When::Stuck(reason, phrase) => {
                subject.warned(reason, phrase).filter(|_| is_creating(subject.object)).map(Sight::of)
            }
            When::Unscheduled(phrases) => {
                let condition = denied(subject.object, "PodScheduled")?;
                let message = text(condition, "/message");
                let began = time(condition, "/lastTransitionTime");
                has_any(clause(message), phrases).then(|| Sight { began, ..Sight::of(message) })
            }
            When::Refused(phrases) => refused(subject, phrases),
            When::Fact(look) => look(subject).map(|evidence| Sight::of(&evidence)),
            When::Look(look) => look(subject),
        }
    }
}

fn waiting(subject: &Subject<'_>, reasons: &[&str], phrases: &[&str]) -> Option<Sight> {
    let status = subject.status();
    if !reasons.contains(&text(status, "/state/waiting/reason")) {
        return None;
    }
    let own = text(status, "/state/waiting/message");
    let image = text(status, "/image");
    // An older kubelet says only "Back-off pulling image" in the status and the cause in the pod's events.
    let events = subject.events();
    let pulls = events.iter().filter(|event| {
        text(event, "/reason") == "Failed" && (image.is_empty() || text(event, "/message").contains(image))
    });
    let reported: Vec<&str> = std::iter::once(own).chain(pulls.map(|event| text(event, "/message"))).collect();
    let words = reported.iter().find(|words| has_any(words, phrases))?;
    let count = events.iter().map(|event| times(event)).max().unwrap_or(1);
    let began = time(subject.object, "/metadata/creationTimestamp");
    Some(Sight { evidence: (*words).to_owned(), count, began, log: Vec::new() })
}

fn sight_of_end(subject: &Subject<'_>, end: &Value) -> Sight {
    Sight {
        evidence: text(end, "/message").to_owned(),
        count: u32::try_from(number(subject.status(), "/restartCount")).unwrap_or_default(),
        began: time(end, "/finishedAt"),
        log: subject.cache.log(subject.object, subject.container_name()).to_vec(),
    }
}

fn line_with(subject: &Subject<'_>, phrases: &[&str]) -> Option<String> {
    let log = subject.cache.log(subject.object, subject.container_name());
    log.iter().rev().find(|line| has_any(line, phrases)).cloned()
}

fn sight_of_event(event: &Value) -> Sight {
    let began = time(event, "/firstTimestamp").or_else(|| last_seen(event).parse().ok());
    Sight { evidence: text(event, "/message").to_owned(), count: times(event), began, log: Vec::new() }
}

/// How often an event has been seen.
fn times(event: &Value) -> u32 {
    let count = number(event, "/count").max(number(event, "/series/count")).max(1);
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A Deployment tells it in a condition, since its ReplicaSets come and go; the others by events.
fn refused(subject: &Subject<'_>, phrases: &[&str]) -> Option<Sight> {
    let failure = condition(subject.object, "ReplicaFailure");
    if let Some(failure) = failure.filter(|failure| text(failure, "/status") == "True") {
        let message = text(failure, "/message");
        let began = time(failure, "/lastTransitionTime");
        return has_any(message, phrases).then(|| Sight { began, ..Sight::of(message) });
    }
    if subject.kind() == "Deployment" || !lacks_pods(subject.object) {
        return None;
    }
    // What was refused before may be granted by now.
    let events = subject.events();
    let newest = events.iter().find(|event| text(event, "/reason") == "FailedCreate")?;
    has_any(text(newest, "/message"), phrases).then(|| sight_of_event(newest))
}

/// A pod that has a node and none of whose containers has begun.
fn is_creating(pod: &Value) -> bool {
    let statuses = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
    let begun = statuses
        .into_iter()
        .flatten()
        .any(|status| status.pointer("/state/running").is_some() || number(status, "/restartCount") > 0);
    text(pod, "/status/phase") == "Pending" && denied(pod, "PodScheduled").is_none() && !begun
}

/// Fewer pods exist than are wanted.
fn lacks_pods(workload: &Value) -> bool {
    match text(workload, "/kind") {
        "StatefulSet" => {
            let wanted = workload.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
            number(workload, "/status/replicas") < wanted
        }
        "DaemonSet" => {
            number(workload, "/status/currentNumberScheduled") < number(workload, "/status/desiredNumberScheduled")
        }
        _ => number(workload, "/status/active") == 0,
    }
}

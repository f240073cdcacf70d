//! The questions and the loop that asks them.

use crate::config::{Draft, Provenance, Row, Secret, find_row};
use crate::wizard::sections::{Section, groups_action};
use crate::wizard::{Detected, Prompt, Reply, WizardError};

/// Which questions are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All, with known answers as defaults, and a summary at the end.
    Everything,
    /// Those that are missing, and a summary that leads to all: the answers of an earlier run are known.
    Review,
    /// Only required answers that are missing.
    OnlyMissing,
}

/// The prompt for one answer.
pub(super) struct Question {
    pub(super) key: &'static str,
    pub(super) label: &'static str,
    section: Section,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// The Auth0 client secret.
    ClientSecret,
    /// One of the cluster's StorageClasses.
    StorageClass,
    /// Only if the Tailscale operator will be installed.
    OperatorText,
    /// A secret, only if the Tailscale operator will be installed.
    OperatorSecret,
}

const fn question(section: Section, key: &'static str, label: &'static str, kind: Kind) -> Question {
    Question { key, label, section, kind }
}

/// Section by section.
pub(super) static QUESTIONS: [Question; 13] = [
    question(Section::Tailnet, "tailnet", "Tailnet domain", Kind::Text),
    question(Section::Tailnet, "grafana.hostname", "Grafana's name on the tailnet", Kind::Text),
    question(Section::Tailnet, "tailscale.oauth.clientId", "Tailscale OAuth client id", Kind::OperatorText),
    question(Section::Tailnet, "tailscale.oauth.clientSecret", "Tailscale OAuth client secret", Kind::OperatorSecret),
    question(Section::SignIn, "auth0.issuer", "Auth0 issuer URL", Kind::Text),
    question(Section::SignIn, "auth0.clientId", "Auth0 client id", Kind::Text),
    question(Section::SignIn, "auth0.clientSecret", "Auth0 client secret", Kind::ClientSecret),
    question(Section::SignIn, "auth0.groupsClaim", "Groups claim", Kind::Text),
    question(Section::SignIn, "auth0.allowedGroups", "Allowed groups", Kind::Text),
    question(Section::Storage, "retention.metrics", "Retention of metrics", Kind::Text),
    question(Section::Storage, "retention.logs", "Retention of logs", Kind::Text),
    question(Section::Storage, "storage.class", "StorageClass", Kind::StorageClass),
    question(Section::Storage, "storage.prometheus", "Volume for metrics", Kind::Text),
];

/// Those of a scope.
pub(super) fn asked_by(scope: Scope, draft: &Draft, detected: &Detected) -> Vec<&'static Question> {
    QUESTIONS.iter().filter(|question| is_asked(question, draft, detected, scope)).collect()
}

fn is_asked(question: &Question, draft: &Draft, detected: &Detected, scope: Scope) -> bool {
    let known = draft.has(question.key);
    let installs_operator = detected.installs_operator(draft);
    match question.kind {
        Kind::ClientSecret => !known && (scope != Scope::OnlyMissing || !is_kept(question, draft, detected)),
        Kind::OperatorSecret => {
            installs_operator && !known && (scope != Scope::OnlyMissing || !is_kept(question, draft, detected))
        }
        Kind::OperatorText => {
            let needed = !known && !detected.keeps_operator_secret(draft);
            installs_operator && (needed || scope != Scope::OnlyMissing)
        }
        Kind::StorageClass => {
            let has_default = detected.storage_classes.iter().any(|(_, default)| *default);
            let needed = !known && !has_default;
            !detected.storage_classes.is_empty() && (needed || scope != Scope::OnlyMissing)
        }
        Kind::Text if scope != Scope::OnlyMissing => true,
        Kind::Text => !known && find_row(question.key).is_some_and(|row| row.required),
    }
}

/// Whether the cluster stores the secret for the answers so far.
pub(super) fn is_kept(question: &Question, draft: &Draft, detected: &Detected) -> bool {
    match question.kind {
        Kind::ClientSecret => detected.keeps_client_secret(draft),
        Kind::OperatorSecret => detected.keeps_operator_secret(draft),
        Kind::Text | Kind::StorageClass | Kind::OperatorText => false,
    }
}

/// Asks the questions in order, with a step back.
pub(super) fn ask_each(
    chosen: &[&Question],
    draft: &mut Draft,
    detected: &Detected,
    prompt: &mut dyn Prompt,
) -> Result<(), WizardError> {
    let (mut position, mut goes_back, mut section) = (0, false, None);
    while let Some(question) = chosen.get(position) {
        let counter = format!("{}/{}", position + 1, chosen.len());
        if section.replace(question.section) != Some(question.section) {
            prompt.print(&format!("\n{}", question.section.title()));
            question.section.introduction(draft).iter().for_each(|line| prompt.print(line));
        }
        // Depends on the issuer and client id, which may have changed by the previous answers.
        if !is_kept(question, draft, detected) || draft.has(question.key) {
            goes_back = matches!(ask_one(question, &counter, draft, detected, prompt)?, Reply::Back);
        }
        position = if goes_back { position.saturating_sub(1) } else { position + 1 };
    }
    Ok(())
}

/// The option without a class: the PersistentVolumeClaim gets the cluster's default StorageClass.
pub(super) const CLUSTER_DEFAULT: &str = "the cluster's default";

pub(super) fn ask_one(
    question: &Question,
    counter: &str,
    draft: &mut Draft,
    detected: &Detected,
    prompt: &mut dyn Prompt,
) -> Result<Reply, WizardError> {
    let Some(row) = find_row(question.key) else { return Ok(Reply::Answer(String::new())) };
    prompt.print(&format!("\n{counter}  {}", sentence(question, row)));
    match question.kind {
        Kind::ClientSecret | Kind::OperatorSecret => {
            let reply = prompt.secret(question.label)?;
            if let Reply::Answer(text) = &reply {
                if text.is_empty() {
                    prompt.print("the secret must not be empty");
                    return ask_one(question, counter, draft, detected, prompt);
                }
                draft.set_secret(question.key, Secret::new(text.clone()));
                return Ok(Reply::Answer(String::new()));
            }
            Ok(reply)
        }
        Kind::StorageClass => choose_class(question, draft, detected, prompt),
        Kind::Text | Kind::OperatorText => {
            let found = detected.tailnet.clone().filter(|_| question.key == "tailnet");
            let known = draft.text(question.key).or_else(|| Some((found?, Provenance::Detected)));
            if let Some((_, from)) = known.as_ref().filter(|(_, from)| *from != Provenance::Default) {
                prompt.print(&format!("In brackets: {from}"));
            }
            let default = known.as_ref().map(|(text, _)| text.as_str());
            let validate = |text: &str| validate(draft, row, text);
            let reply = prompt.text(question.label, default, &validate)?;
            if let Reply::Answer(text) = &reply {
                let accepted = known.filter(|(default, _)| default == text).map(|(_, from)| from);
                // Validated by the prompt.
                let _ = draft.set(question.key, text, accepted.unwrap_or(Provenance::Prompt));
                if question.key == "auth0.groupsClaim" {
                    groups_action(draft).iter().for_each(|line| prompt.print(line));
                }
            }
            Ok(reply)
        }
    }
}

fn sentence(question: &Question, row: &Row) -> String {
    let help = match question.kind {
        Kind::ClientSecret => "client secret of the same application; stored only in one Kubernetes Secret",
        Kind::OperatorSecret => "secret of that OAuth client; stored only in one Kubernetes Secret",
        _ => row.help,
    };
    if row.default.is_some() || question.kind != Kind::Text {
        help.to_owned()
    } else {
        format!("{help}, e.g. {}", row.example)
    }
}

fn validate(draft: &Draft, row: &Row, text: &str) -> Result<(), String> {
    let key = row.key;
    if text.is_empty() {
        return Err(format!("an answer is required, e.g. {}", row.example));
    }
    let mut answered = draft.clone();
    answered.set(key, text, Provenance::Prompt).map_err(|invalid| invalid.to_string())?;
    match answered.contradictions().into_iter().find(|problem| problem.key == key) {
        Some(problem) => Err(problem.expected),
        None => Ok(()),
    }
}

fn choose_class(
    question: &Question,
    draft: &mut Draft,
    detected: &Detected,
    prompt: &mut dyn Prompt,
) -> Result<Reply, WizardError> {
    let default = detected.storage_classes.iter().find(|(_, default)| *default);
    let mut options: Vec<String> = default.map(|(name, _)| format!("{CLUSTER_DEFAULT} ({name})")).into_iter().collect();
    options.extend(detected.storage_classes.iter().map(|(name, _)| name.clone()));
    let current = draft.text(question.key).map(|(text, _)| text);
    let position = options.iter().position(|option| Some(option) == current.as_ref()).unwrap_or(0);
    let reply = prompt.choose(question.label, &options, position)?;
    match &reply {
        Reply::Answer(chosen) if chosen.starts_with(CLUSTER_DEFAULT) => draft.unset(question.key),
        Reply::Answer(chosen) => {
            let _ = draft.set(question.key, chosen, Provenance::Prompt);
        }
        Reply::Back => {}
    }
    Ok(reply)
}

#[cfg(test)]
#[path = "questions_tests.rs"]
mod tests;

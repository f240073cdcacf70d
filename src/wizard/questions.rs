//! The questions and the loop that asks them.

use crate::config::{Draft, Provenance, Row, Secret, find_row};
use crate::wizard::{Detected, Prompt, Reply, WizardError};

/// Which questions are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All, with known answers as defaults, and a summary at the end.
    Everything,
    /// Only required answers that are missing.
    OnlyMissing,
}

/// The prompt for one answer.
struct Question {
    key: &'static str,
    label: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
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

const fn question(key: &'static str, label: &'static str, kind: Kind) -> Question {
    Question { key, label, kind }
}

static QUESTIONS: [Question; 13] = [
    question("tailnet", "Tailnet domain", Kind::Text),
    question("grafana.hostname", "Grafana's name on the tailnet", Kind::Text),
    question("auth0.issuer", "Auth0 issuer URL", Kind::Text),
    question("auth0.clientId", "Auth0 client id", Kind::Text),
    question("auth0.clientSecret", "Auth0 client secret", Kind::ClientSecret),
    question("auth0.groupsClaim", "Groups claim", Kind::Text),
    question("auth0.allowedGroups", "Allowed groups", Kind::Text),
    question("retention.metrics", "Retention of metrics", Kind::Text),
    question("retention.logs", "Retention of logs", Kind::Text),
    question("storage.class", "StorageClass", Kind::StorageClass),
    question("storage.prometheus", "Volume for metrics", Kind::Text),
    question("tailscale.oauth.clientId", "Tailscale OAuth client id", Kind::OperatorText),
    question("tailscale.oauth.clientSecret", "Tailscale OAuth client secret", Kind::OperatorSecret),
];

/// Asks the questions in order, with a step back, until each has a valid answer in the draft.
pub fn ask(draft: &mut Draft, detected: &Detected, scope: Scope, prompt: &mut dyn Prompt) -> Result<(), WizardError> {
    let chosen: Vec<&Question> =
        QUESTIONS.iter().filter(|question| is_asked(question, draft, detected, scope)).collect();
    if chosen.is_empty() {
        return Ok(());
    }
    prompt.print("Enter accepts the value in brackets, < goes back, Ctrl-C stops. Nothing is changed before you confirm the plan.");
    loop {
        ask_each(&chosen, draft, detected, prompt)?;
        if scope == Scope::OnlyMissing || summary(&chosen, draft, detected, prompt)? {
            return Ok(());
        }
    }
}

fn is_asked(question: &Question, draft: &Draft, detected: &Detected, scope: Scope) -> bool {
    let known = draft.has(question.key);
    let installs_operator = detected.installs_operator(draft);
    match question.kind {
        Kind::ClientSecret => !known && (scope == Scope::Everything || !is_kept(question, draft, detected)),
        Kind::OperatorSecret => {
            installs_operator && !known && (scope == Scope::Everything || !is_kept(question, draft, detected))
        }
        Kind::OperatorText => {
            let needed = !known && !detected.keeps_operator_secret(draft);
            installs_operator && (needed || scope == Scope::Everything)
        }
        Kind::StorageClass => {
            let has_default = detected.storage_classes.iter().any(|(_, default)| *default);
            let needed = !known && !has_default;
            !detected.storage_classes.is_empty() && (needed || scope == Scope::Everything)
        }
        Kind::Text if scope == Scope::Everything => true,
        Kind::Text => !known && find_row(question.key).is_some_and(|row| row.required),
    }
}

/// Whether the cluster stores the secret for the answers so far.
fn is_kept(question: &Question, draft: &Draft, detected: &Detected) -> bool {
    match question.kind {
        Kind::ClientSecret => detected.keeps_client_secret(draft),
        Kind::OperatorSecret => detected.keeps_operator_secret(draft),
        Kind::Text | Kind::StorageClass | Kind::OperatorText => false,
    }
}

fn ask_each(
    chosen: &[&Question],
    draft: &mut Draft,
    detected: &Detected,
    prompt: &mut dyn Prompt,
) -> Result<(), WizardError> {
    let (mut position, mut goes_back) = (0, false);
    while let Some(question) = chosen.get(position) {
        let counter = format!("{}/{}", position + 1, chosen.len());
        // Depends on the issuer and client id, which may have changed by the previous answers.
        if !is_kept(question, draft, detected) || draft.has(question.key) {
            goes_back = matches!(ask_one(question, &counter, draft, detected, prompt)?, Reply::Back);
        }
        position = if goes_back { position.saturating_sub(1) } else { position + 1 };
    }
    Ok(())
}

/// The option without a class: the PersistentVolumeClaim gets the cluster's default StorageClass.
const CLUSTER_DEFAULT: &str = "the cluster's default";

fn ask_one(
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
            let default = draft.text(question.key).map(|(text, _)| text);
            let default = default.or_else(|| detected.tailnet.clone().filter(|_| question.key == "tailnet"));
            let validate = |text: &str| validate(draft, question.key, text);
            let reply = prompt.text(question.label, default.as_deref(), &validate)?;
            if let Reply::Answer(text) = &reply {
                // Validated by the prompt.
                let _ = draft.set(question.key, text, Provenance::Prompt);
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

fn validate(draft: &Draft, key: &str, text: &str) -> Result<(), String> {
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

const CONTINUE: &str = "continue to the plan";
const CHANGE: &str = "change an answer";
const STOP: &str = "stop";

/// Shows every answer; `false` asks them again.
fn summary(
    chosen: &[&Question],
    draft: &mut Draft,
    detected: &Detected,
    prompt: &mut dyn Prompt,
) -> Result<bool, WizardError> {
    loop {
        prompt.print("\nYour answers:");
        for question in &QUESTIONS {
            if let Some((text, from)) = draft.text(question.key) {
                prompt.print(&format!("  {:<30} {text}  ({from})", question.label));
            } else if is_kept(question, draft, detected) {
                prompt.print(&format!("  {:<30} stored in the cluster", question.label));
            } else if question.kind == Kind::StorageClass {
                prompt.print(&format!("  {:<30} {CLUSTER_DEFAULT}", question.label));
            }
        }
        prompt.print("");
        match prompt.choose("Next", &[CONTINUE, CHANGE, STOP].map(str::to_owned), 0)? {
            Reply::Answer(next) if next == CONTINUE => return Ok(true),
            Reply::Answer(next) if next == STOP => return Err(WizardError::Interrupted),
            Reply::Back => return Ok(false),
            Reply::Answer(_) => {
                let labels: Vec<String> = chosen.iter().map(|question| question.label.to_owned()).collect();
                if let Reply::Answer(label) = prompt.choose("Which", &labels, 0)?
                    && let Some(question) = chosen.iter().find(|question| question.label == label)
                {
                    ask_one(question, "change", draft, detected, prompt)?;
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "questions_tests.rs"]
mod tests;

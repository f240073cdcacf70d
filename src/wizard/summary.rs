//! The review of the answers.

use crate::config::Draft;
use crate::wizard::questions::{CLUSTER_DEFAULT, Kind, QUESTIONS, Question, ask_one, is_kept};
use crate::wizard::{Detected, Prompt, Reply, WizardError};

pub(super) const CONTINUE: &str = "continue to the plan";
const CHANGE: &str = "change an answer";
pub(super) const SAVE: &str = "save the answers as a file, e.g. for CI";
const STOP: &str = "stop";

/// Shows every answer; `false` asks `asked` again.
pub(super) fn summary(
    asked: &[&Question],
    draft: &mut Draft,
    detected: &Detected,
    prompt: &mut dyn Prompt,
) -> Result<bool, WizardError> {
    loop {
        show(draft, detected, prompt);
        match prompt.choose("Next", &[CONTINUE, CHANGE, SAVE, STOP].map(str::to_owned), 0)? {
            Reply::Answer(next) if next == CONTINUE => return Ok(true),
            Reply::Answer(next) if next == STOP => return Err(WizardError::Interrupted),
            Reply::Answer(next) if next == SAVE => save(draft, prompt)?,
            Reply::Back => return Ok(false),
            Reply::Answer(_) => {
                let labels: Vec<String> = asked.iter().map(|question| question.label.to_owned()).collect();
                if let Reply::Answer(label) = prompt.choose("Which", &labels, 0)?
                    && let Some(question) = asked.iter().find(|question| question.label == label)
                {
                    ask_one(question, question.label, draft, detected, prompt)?;
                }
            }
        }
    }
}

fn show(draft: &Draft, detected: &Detected, prompt: &mut dyn Prompt) {
    prompt.print("\nReview of your answers:");
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
}

/// Writes the answers file, if they are complete.
fn save(draft: &Draft, prompt: &mut dyn Prompt) -> Result<(), WizardError> {
    let text = match draft.answers_file() {
        Ok(text) => text,
        Err(error) => {
            prompt.print(&format!("The answers cannot be saved: {error}"));
            return Ok(());
        }
    };
    let named = |path: &str| if path.is_empty() { Err("a file name is required".to_owned()) } else { Ok(()) };
    let Reply::Answer(path) = prompt.text("File", Some("answers.yaml"), &named)? else { return Ok(()) };
    let next = "run `tailwatch install --answers FILE --yes` with it, and set the variables that it names";
    match prompt.save(path.as_ref(), &text) {
        Ok(()) => prompt.print(&format!("{path} is written; {next}.")),
        Err(error) => prompt.print(&format!("{path} cannot be written: {error}")),
    }
    Ok(())
}

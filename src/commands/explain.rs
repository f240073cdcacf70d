//! `tailwatch explain`: what the id of a check or a diagnosis, or an exit code, means and what to do. Needs no cluster.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::check;
use crate::cli::{GlobalArgs, Output};
use crate::cluster::rule_texts;
use crate::config::nearest;
use crate::error::{self, Error};
use crate::event::{Explanation, Severity, Topic};
use crate::exit_code;
use crate::known_errors::REFUSALS;
use crate::report::{self, style::Style};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExplainDocument {
    version: u8,
    meanings: Vec<Explanation>,
}

pub(super) fn explain(global: &GlobalArgs, id: &str) -> Result<u8, Error> {
    let meanings = meanings_of(id)?;
    match global.output {
        Output::Json => report::json_document(&ExplainDocument { version: 1, meanings }),
        Output::Human => {
            let style = Style::resolve(global);
            report::write_stdout(&report::explanations(&meanings, style, report::width()));
        }
    }
    Ok(error::OK)
}

fn meanings_of(id: &str) -> Result<Vec<Explanation>, Error> {
    let all = all();
    let asked = id.trim().to_ascii_lowercase();
    let found: Vec<Explanation> = all.iter().filter(|one| one.id == asked).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let near = nearest(&asked, all.iter().map(|one| one.id.as_str()));
    let hint = match near {
        Some(near) => format!("did you mean {near}?"),
        None => "write the id of a check or a diagnosis as a report shows it, or an exit code such as 4".into(),
    };
    Err(Error::Usage { message: format!("there is no check, diagnosis or exit code {id:?}"), hint: Some(hint) })
}

/// Every id with each of its meanings.
fn all() -> Vec<Explanation> {
    let checks = check::texts().into_iter().map(|text| Explanation {
        id: text.id.to_owned(),
        topic: Topic::Check,
        meaning: text.statement.to_owned(),
        facts: text.facts,
        next: text.next,
    });
    let diagnoses = diagnoses().into_iter().flat_map(|(id, meanings)| {
        meanings.into_iter().map(move |(severity, cause, next)| Explanation {
            id: id.to_owned(),
            topic: Topic::Diagnosis,
            meaning: cause.to_owned(),
            facts: vec![consequence(severity).to_owned()],
            next: next.to_owned(),
        })
    });
    let codes = exit_code::ALL.iter().map(|row| Explanation {
        id: row.code.to_string(),
        topic: Topic::ExitCode,
        meaning: row.meaning.to_owned(),
        facts: Vec::new(),
        next: row.next.to_owned(),
    });
    checks.chain(diagnoses).chain(codes).collect()
}

/// Severity, cause and next step.
type Meaning = (Severity, &'static str, &'static str);

/// The meanings of each rule's id, each once.
fn diagnoses() -> BTreeMap<&'static str, Vec<Meaning>> {
    let refusals = REFUSALS.iter().chain(crate::helm::rows()).map(|row| (row.id, Severity::Fatal, row.cause, row.hint));
    let mut by_id: BTreeMap<&str, Vec<Meaning>> = BTreeMap::new();
    for (id, severity, cause, hint) in rule_texts().chain(refusals) {
        let meanings = by_id.entry(id).or_default();
        if !meanings.contains(&(severity, cause, hint)) {
            meanings.push((severity, cause, hint));
        }
    }
    by_id
}

fn consequence(severity: Severity) -> &'static str {
    match severity {
        Severity::Fatal => "A step that meets it fails, once it has lasted.",
        Severity::Deadline => "It may recover: the step fails only when the timeout of its wave is over.",
        Severity::Notice => "No step fails by it.",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::path::Path;

    use super::*;

    const HEAD: &str = "# What tailwatch names, and what to do\n\n\
        Every cause that `install` and `diagnose` name, by the id they give it. A *fatal* one ends the step that \
        meets it, once it has lasted; one that *may recover* ends it when the wave's time is over; a *notice* \
        ends nothing. Names in braces stand for what was found. `tailwatch explain ID` prints the same.\n";

    fn severity_label(severity: Severity) -> &'static str {
        match severity {
            Severity::Fatal => "fatal",
            Severity::Deadline => "may recover",
            Severity::Notice => "notice",
        }
    }

    fn page() -> String {
        let mut text = HEAD.to_owned();
        for (id, meanings) in diagnoses() {
            let _ = write!(text, "\n## {id}\n");
            for (severity, cause, hint) in meanings {
                let _ = write!(text, "\n*{}*: {cause}.\n\nNext: {hint}.\n", severity_label(severity));
            }
        }
        text
    }

    /// `TAILWATCH_WRITE_DOCS=1 cargo test` writes the page again.
    #[test]
    fn the_documentation_has_every_rule() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/diagnosis.md");
        if std::env::var_os("TAILWATCH_WRITE_DOCS").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), page());
    }

    #[test]
    fn every_id_of_the_documentation_is_explained_with_the_next_step() {
        for page in ["docs/checks.md", "docs/diagnosis.md"] {
            let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
            let ids: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
            assert!(ids.len() > 10, "{page}");
            for id in ids {
                let meanings = meanings_of(id).unwrap();
                assert!(
                    meanings.iter().all(|one| !one.meaning.is_empty() && !one.next.is_empty()),
                    "{id}: {meanings:?}"
                );
            }
        }
        let login = meanings_of("login-groups").unwrap();
        assert_eq!((login.len(), login[0].topic), (1, Topic::Check));
    }

    #[test]
    fn exit_codes_are_explained_and_a_near_miss_is_named() {
        for row in &exit_code::ALL {
            let meanings = meanings_of(&row.code.to_string()).unwrap();
            assert_eq!((meanings[0].topic, meanings[0].meaning.as_str()), (Topic::ExitCode, row.meaning));
        }
        let wrong = meanings_of("image-not-fund").unwrap_err();
        assert_eq!(
            (wrong.exit_code(), wrong.hint().unwrap().as_str()),
            (error::USAGE, "did you mean image-not-found?")
        );
        assert!(meanings_of("Image-Not-Found").is_ok(), "whatever its case");
        assert!(!meanings_of("qqqqqq").unwrap_err().hint().unwrap().contains("did you mean"));
    }
}

//! Meaning and next step of every check, diagnosis and exit code.

use std::collections::BTreeMap;

use crate::check;
use crate::cluster::rule_texts;
use crate::config::nearest;
use crate::error::Error;
use crate::event::{Explanation, Severity, Topic};
use crate::exit_code;
use crate::known_errors::API_ERRORS;

/// The meanings of an id; an error with the nearest one if there is none.
pub(crate) fn meanings_of(id: &str) -> Result<Vec<Explanation>, Error> {
    let all = all();
    let wanted_id = id.trim().to_ascii_lowercase();
    let found: Vec<Explanation> = all.iter().filter(|one| one.id == wanted_id).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let near = nearest(&wanted_id, all.iter().map(|one| one.id.as_str()));
    let hint = match near {
        Some(near) => format!("did you mean {near}?"),
        None => "use the id of a check or a diagnosis from a report, or an exit code such as 4".into(),
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
            meaning: with_placeholders(cause),
            facts: vec![consequence(severity).to_owned()],
            next: with_placeholders(next),
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
    let known_errors =
        API_ERRORS.iter().chain(crate::helm::rows()).map(|row| (row.id, Severity::Fatal, row.cause, row.hint));
    let mut by_id: BTreeMap<&str, Vec<Meaning>> = BTreeMap::new();
    for (id, severity, cause, hint) in rule_texts().chain(known_errors) {
        let meanings = by_id.entry(id).or_default();
        if !meanings.contains(&(severity, cause, hint)) {
            meanings.push((severity, cause, hint));
        }
    }
    by_id
}

/// Fields of the rule texts, and the placeholders that are shown without a finding.
const PLACEHOLDERS: [(&str, &str); 12] = [
    ("{component}", "<component>"),
    ("{namespace}", "<namespace>"),
    ("{kind}", "<kind>"),
    ("{name}", "<name>"),
    ("{workload}", "<workload>"),
    ("{container}", "<container>"),
    ("{image}", "<image>"),
    ("{restarts}", "<number>"),
    ("{code}", "<code>"),
    ("{class}", "<StorageClass>"),
    ("{node}", "<node>"),
    ("{said}", "<message>"),
];

fn with_placeholders(text: &str) -> String {
    PLACEHOLDERS.iter().fold(text.to_owned(), |text, (field, placeholder)| text.replace(field, placeholder))
}

fn consequence(severity: Severity) -> &'static str {
    match severity {
        Severity::Fatal => "The step fails if the cause persists.",
        Severity::Deadline => "It may recover: the step fails at its timeout.",
        Severity::Notice => "No step fails because of it.",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::path::Path;

    use super::*;

    const HEAD: &str = "# Diagnoses\n\n\
        Every cause that `install` and `diagnose` report, by id. A *fatal* cause fails the step if it persists; one \
        that *may recover* fails the step at its timeout; a *notice* fails no step. `<name>` and the like \
        are placeholders. `tailwatch explain ID` prints the same.\n";

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
                let (cause, hint) = (markdown(cause), markdown(hint));
                let _ = write!(text, "\n*{}*: {cause}.\n\nNext: {hint}.\n", severity_label(severity));
            }
        }
        text
    }

    /// Words with a placeholder become code: Markdown drops unknown tags.
    fn markdown(text: &str) -> String {
        let coded = |word: &str| {
            let inner = word.trim_matches(['(', ')', ',', ';', ':']);
            if inner.contains('<') { word.replace(inner, &format!("`{inner}`")) } else { word.to_owned() }
        };
        let parts = text.split('`').enumerate().map(|(at, part)| {
            let part = with_placeholders(part);
            if at % 2 == 1 { part } else { part.split(' ').map(coded).collect::<Vec<_>>().join(" ") }
        });
        parts.collect::<Vec<_>>().join("`")
    }

    /// `TAILWATCH_WRITE_DOCS=1 cargo test` regenerates the page.
    #[test]
    fn the_documentation_has_every_rule() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/diagnosis.md");
        if std::env::var_os("TAILWATCH_WRITE_DOCS").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        let page = page();
        assert_eq!(std::fs::read_to_string(path).unwrap(), page);
        let is_field = |rest: &str| rest.starts_with(|letter: char| letter.is_ascii_lowercase());
        assert!(!page.split('{').skip(1).any(is_field), "a field without a placeholder");
    }

    #[test]
    fn every_id_of_the_documentation_is_explained_with_the_next_step() {
        for page in ["docs/checks.md", "docs/diagnosis.md"] {
            let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
            let ids: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
            assert!(!ids.is_empty(), "{page}");
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
    fn exit_codes_are_explained_and_a_typo_has_a_suggestion() {
        for row in &exit_code::ALL {
            let meanings = meanings_of(&row.code.to_string()).unwrap();
            assert_eq!((meanings[0].topic, meanings[0].meaning.as_str()), (Topic::ExitCode, row.meaning));
        }
        let typo = meanings_of("image-not-fund").unwrap_err();
        assert_eq!(
            (typo.exit_code(), typo.hint().unwrap().as_str()),
            (exit_code::USAGE, "did you mean image-not-found?")
        );
        assert!(meanings_of("Image-Not-Found").is_ok(), "ids are case-insensitive");
        assert!(!meanings_of("qqqqqq").unwrap_err().hint().unwrap().contains("did you mean"));
    }
}

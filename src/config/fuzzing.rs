//! The parsers of this module for fuzzing.

use std::path::Path;
use std::sync::LazyLock;

use crate::config::load::{Loader, text_of};
use crate::config::{Draft, Provenance, SavedState, Secret, Settings, add_state};

type Parse = fn(&[u8]);

/// Name and parser of each input.
pub(crate) const PARSERS: &[(&str, Parse)] = &[("answers", answers), ("saved-answers", saved_answers)];

/// An answers file, and the settings of it.
fn answers(bytes: &[u8]) {
    let path = Path::new("answers.yaml");
    let Ok(text) = text_of(path, bytes.to_vec()) else { return };
    let mut loader = Loader::new(Draft::default());
    loader.document("answers.yaml", &text, |line| Provenance::File(path.into(), line));
    if let Ok(draft) = loader.end() {
        drop((draft.finish(), draft.entries(), draft.secret_paths()));
    }
}

/// The data of the Secret and, below a line `---`, the annotation.
fn saved_answers(bytes: &[u8]) {
    let whole = String::from_utf8_lossy(bytes);
    let (text, record) = whole.split_once("\n---\n").unwrap_or((&whole, ""));
    let state = SavedState {
        namespace: "monitoring".into(),
        text: text.into(),
        writer: String::new(),
        salt: Secret::new(Vec::new()),
        record: Some(record.into()),
    };
    if let Ok(draft) = add_state(Draft::default(), &state) {
        drop((draft.unconfirmed(), draft.finish()));
    }
}

/// The settings of the documented example.
pub(crate) static SETTINGS: LazyLock<Settings> = LazyLock::new(settings_for_tests);

/// The same.
pub(crate) fn settings_for_tests() -> Settings {
    let mut draft = Draft::default();
    for (key, text) in [
        ("tailnet", "tail1a2b.ts.net"),
        ("auth0.issuer", "https://acme.eu.auth0.com/"),
        ("auth0.clientId", "client-1"),
        ("auth0.groupsClaim", "https://acme.example/groups"),
    ] {
        draft.set(key, text, Provenance::Set).expect("a valid answer");
    }
    draft.set_secret("auth0.clientSecret", Secret::new("s3cret".into()));
    draft.finish().expect("every required answer")
}

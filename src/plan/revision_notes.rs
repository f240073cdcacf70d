//! Format of the notes on releases. Pure.

/// The last healthy revision of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthy {
    /// Revision; 0: none.
    pub revision: u32,
    /// Chart version of that revision, if the note has it.
    pub chart_version: Option<semver::Version>,
}

impl Healthy {
    /// `3 79.10.0`
    pub fn read(text: &str) -> Option<Healthy> {
        let (revision, version) = text.split_once(' ').unwrap_or((text, ""));
        Some(Healthy { revision: revision.parse().ok()?, chart_version: version.parse().ok() })
    }

    /// The text of the note.
    pub fn write(revision: u32, chart_version: &semver::Version) -> String {
        format!("{revision} {chart_version}")
    }
}

/// Key of the note on a rollback by tailwatch: its text is the revision that the rollback creates.
pub fn rollback_key(release: &str) -> String {
    format!("{release}.rollback")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let version = semver::Version::new(79, 10, 0);
        let read = Healthy::read(&Healthy::write(3, &version)).unwrap();
        assert_eq!(read, Healthy { revision: 3, chart_version: Some(version) });
        assert_eq!(Healthy::read("0"), Some(Healthy { revision: 0, chart_version: None }));
        assert_eq!(Healthy::read("soon"), None);
    }
}

use std::path::Path;

use crate::{CommandOutput, repository};

/// Regular expressions of what differs from run to run, with what a snapshot has in its place.
pub const REDACTIONS: [(&str, &str); 1] = [(r"(127\.0\.0\.1|localhost):\d{4,5}", "$1:PORT")];

/// Labels that begin a line of a message.
const LABELS: [&str; 5] = ["because: ", "hint: ", "safe: ", "note: ", "warning: "];

/// Compares a text with its snapshot; wording is compared nowhere else. `INSTA_UPDATE=always` writes it again.
#[macro_export]
macro_rules! assert_wording {
    ($text:expr) => {
        insta::with_settings!({ omit_expression => true, filters => $crate::REDACTIONS.to_vec() }, {
            insta::assert_snapshot!($text);
        })
    };
}

impl CommandOutput {
    /// The exit code and the messages on stderr: each on one line, with `~` for the test's folder and `.` for the
    /// repository.
    pub fn messages(&self, home: &Path) -> String {
        let mut text = self.talk().replace(&home.display().to_string(), "~");
        let root = repository().canonicalize().expect("the repository");
        text = text.replace(&format!("{}/", root.display()), "./");
        for label in LABELS {
            text = text.replace(&format!(" {label}"), &format!("\n{label}"));
        }
        format!("exit code {}\n{text}\n", self.code.map_or("-".into(), |code| code.to_string()))
    }
}

use std::process::Output;

use serde_json::Value;

use crate::event;

/// The end of a command.
pub struct CommandOutput {
    /// `None` after a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl CommandOutput {
    pub fn of(output: Output) -> CommandOutput {
        CommandOutput {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub fn ended_with(self, code: i32) -> CommandOutput {
        let CommandOutput { code: found, stdout, stderr } = &self;
        // The code and the end first: a long output may be cut.
        let last = stdout.lines().next_back().unwrap_or_default();
        let all = format!("ends in:\n{last}\nstderr:\n{stderr}\nstdout:\n{stdout}");
        assert!(*found == Some(code), "exit code {found:?} instead of {code}; {all}");
        self
    }

    /// stdout as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}:\n{}", self.stdout))
    }

    /// stdout as one JSON event a line, each valid by the published schema.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        self.stdout.lines().map(event).collect()
    }

    /// The last event of a run.
    #[track_caller]
    pub fn run_finished(&self) -> Value {
        let last = self.events().pop().unwrap_or_else(|| panic!("no event; stderr:\n{}", self.stderr));
        assert_eq!(last["event"], "run-finished", "{last:#}\nstderr:\n{}", self.stderr);
        last
    }

    /// stderr without the line breaks that fit it into the terminal.
    pub fn talk(&self) -> String {
        self.stderr.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Every part is in stderr, wherever its lines are broken.
    #[track_caller]
    pub fn tells(self, parts: &[&str]) -> CommandOutput {
        for part in parts {
            assert!(self.talk().contains(part), "{part:?} is missing in:\n{}", self.stderr);
        }
        self
    }
}

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::{CommandOutput, Signal, event, signal};

/// A running command with `--output json`; its events go to a pipe.
pub struct Run {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Run {
    #[track_caller]
    pub fn start(command: &mut Command) -> Run {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
        let lines = BufReader::new(child.stdout.take().expect("its stdout")).lines();
        Run { child, lines }
    }

    /// Returns at the first event that satisfies the predicate.
    #[track_caller]
    pub fn until(mut self, is_reached: impl Fn(&Value) -> bool) -> Run {
        if self.events().any(|event| is_reached(&event)) {
            return self;
        }
        panic!("the run ended before that event:\n{}", self.end().stderr)
    }

    /// The events from here on.
    pub fn events(&mut self) -> impl Iterator<Item = Value> {
        self.lines.by_ref().map(|line| event(&line.expect("its stdout")))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_some()
    }

    pub fn signal(&self, kind: Signal) {
        signal(self.pid(), kind);
    }

    /// Waits for its end; stdout has the events from here on.
    #[track_caller]
    pub fn end(mut self) -> CommandOutput {
        let stdout = self.lines.map(|line| line.expect("its stdout") + "\n").collect();
        let stderr = std::io::read_to_string(self.child.stderr.take().expect("its stderr")).expect("its stderr");
        CommandOutput { code: self.child.wait().expect("its end").code(), stdout, stderr }
    }
}

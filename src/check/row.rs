//! What a check is, and what one try of it finds.

use std::time::Duration;

use futures::future::BoxFuture;

use crate::event::{Explanation, Hop, Verdict};

/// One check: a sentence that is true or false of what it looks at (`C`).
pub(super) struct Row<C> {
    pub(super) id: &'static str,
    pub(super) group: &'static str,
    pub(super) statement: &'static str,
    /// Ids of the checks that must not fail before this one says anything.
    pub(super) needs: &'static [&'static str],
    /// The component that it is about, where the stack may do without that.
    pub(super) part: Option<&'static str>,
    /// Verdict where it is false: fail, or warn where nothing of the stack's own work depends on it.
    pub(super) severity: Verdict,
    /// How long it may stay "not yet".
    pub(super) deadline: Duration,
    pub(super) hop: Option<Hop>,
    pub(super) hint: &'static str,
    pub(super) run: Run<C>,
}

type Run<C> = for<'a> fn(&'a C) -> BoxFuture<'a, Finding>;

impl<C> Row<C> {
    pub(super) const fn new(id: &'static str, group: &'static str, statement: &'static str, run: Run<C>) -> Row<C> {
        Row {
            id,
            group,
            statement,
            needs: &[],
            part: None,
            severity: Verdict::Fail,
            deadline: Duration::from_secs(30),
            hop: None,
            hint: "",
            run,
        }
    }

    pub(super) const fn needs(mut self, ids: &'static [&'static str]) -> Row<C> {
        self.needs = ids;
        self
    }

    pub(super) const fn of(mut self, component: &'static str) -> Row<C> {
        self.part = Some(component);
        self
    }

    /// What is false is only a warning.
    pub(super) const fn warns(mut self) -> Row<C> {
        self.severity = Verdict::Warn;
        self
    }

    pub(super) const fn within(mut self, seconds: u64) -> Row<C> {
        self.deadline = Duration::from_secs(seconds);
        self
    }

    pub(super) const fn at(mut self, hop: Hop) -> Row<C> {
        self.hop = Some(hop);
        self
    }

    /// The next step where it is false; `NAMESPACE` stands for the stack's.
    pub(super) const fn hint(mut self, text: &'static str) -> Row<C> {
        self.hint = text;
        self
    }

    /// The command that explains it.
    pub(super) fn docs(&self) -> String {
        Explanation::command(self.id)
    }
}

/// What one try of a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) state: State,
    /// What was measured, or why nothing was.
    pub(super) detail: String,
    /// The hop that is broken, where it is another than the row's.
    pub(super) hop: Option<Hop>,
    /// The next step, where more is known than the row says.
    pub(super) hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// True.
    Pass,
    /// True, but somebody should know.
    Warn,
    /// Not true yet: tried again until the deadline.
    NotYet,
    /// False, and time will not mend it.
    Fail,
    /// It cannot be reported here.
    Skip,
}

impl Finding {
    fn new(state: State, detail: impl Into<String>) -> Finding {
        Finding { state, detail: detail.into(), hop: None, hint: None }
    }

    pub(super) fn pass(detail: impl Into<String>) -> Finding {
        Finding::new(State::Pass, detail)
    }

    pub(super) fn warn(detail: impl Into<String>) -> Finding {
        Finding::new(State::Warn, detail)
    }

    pub(super) fn not_yet(detail: impl Into<String>) -> Finding {
        Finding::new(State::NotYet, detail)
    }

    pub(super) fn fail(detail: impl Into<String>) -> Finding {
        Finding::new(State::Fail, detail)
    }

    pub(super) fn skip(detail: impl Into<String>) -> Finding {
        Finding::new(State::Skip, detail)
    }

    pub(super) fn at(mut self, hop: Hop) -> Finding {
        self.hop = Some(hop);
        self
    }

    pub(super) fn hinting(mut self, hint: impl Into<String>) -> Finding {
        self.hint = Some(hint.into());
        self
    }
}

/// What did not answer may answer later.
pub(super) fn not_yet(result: Result<Finding, String>) -> Finding {
    result.unwrap_or_else(Finding::not_yet)
}

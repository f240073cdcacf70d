//! A check, and the finding of one try.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::event::{Explanation, Hop, Verdict};

/// One check: a statement about the context `C` that is true or false.
pub(super) struct Row<C> {
    pub(super) id: &'static str,
    pub(super) group: &'static str,
    pub(super) statement: &'static str,
    /// Ids of the checks that must pass; otherwise this one is skipped.
    pub(super) needs: &'static [&'static str],
    /// An optional component that it needs.
    pub(super) component: Option<&'static str>,
    /// Parts of charts that it needs, `COMPONENT.KEY`: the values can switch them off.
    pub(super) parts: &'static [&'static str],
    /// Verdict if the statement is false: fail, or warn if the stack works without it.
    pub(super) severity: Verdict,
    /// How long it is tried again while it is "not yet" true.
    pub(super) deadline: Duration,
    pub(super) hop: Option<Hop>,
    pub(super) hint: &'static str,
    /// It has an effect outside of the cluster: it runs only if its id is selected.
    pub(super) on_request: bool,
    /// A page about it; otherwise its `explain` command.
    page: Option<&'static str>,
    pub(super) run: Run<C>,
}

/// An error is "not yet" true, and tried again.
pub(super) type Run<C> = for<'a> fn(&'a C) -> BoxFuture<'a, Result<Finding, String>>;

impl<C> Row<C> {
    pub(super) const fn new(id: &'static str, group: &'static str, statement: &'static str, run: Run<C>) -> Row<C> {
        Row {
            id,
            group,
            statement,
            needs: &[],
            component: None,
            parts: &[],
            severity: Verdict::Fail,
            deadline: Duration::from_secs(30),
            hop: None,
            hint: "",
            on_request: false,
            page: None,
            run,
        }
    }

    pub(super) const fn needs(mut self, ids: &'static [&'static str]) -> Row<C> {
        self.needs = ids;
        self
    }

    pub(super) const fn of(mut self, component: &'static str) -> Row<C> {
        self.component = Some(component);
        self
    }

    pub(super) const fn with(mut self, parts: &'static [&'static str]) -> Row<C> {
        self.parts = parts;
        self
    }

    /// A false statement is only a warning.
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

    /// The next step if it is false; the runner replaces `NAMESPACE`.
    pub(super) const fn hint(mut self, text: &'static str) -> Row<C> {
        self.hint = text;
        self
    }

    pub(super) const fn on_request(mut self) -> Row<C> {
        self.on_request = true;
        self
    }

    pub(super) const fn page(mut self, url: &'static str) -> Row<C> {
        self.page = Some(url);
        self
    }

    /// The page or command that explains this check.
    pub(super) fn docs(&self) -> String {
        self.page.map_or_else(|| Explanation::command(self.id), str::to_owned)
    }
}

/// The finding of a row that is not tried again.
pub(super) fn once<'a>(finding: impl Future<Output = Finding> + Send + 'a) -> BoxFuture<'a, Result<Finding, String>> {
    Box::pin(finding.map(Ok))
}

/// The finding of a row about a fact that is known.
pub(super) fn known<'a>(finding: Finding) -> BoxFuture<'a, Result<Finding, String>> {
    once(std::future::ready(finding))
}

/// The result of one try of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) state: State,
    /// The measured value, or the reason that there is none.
    pub(super) detail: String,
    /// The broken hop, if it is not the row's.
    pub(super) hop: Option<Hop>,
    /// A more specific next step than the row's.
    pub(super) hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// True.
    Pass,
    /// True, but with a warning.
    Warn,
    /// Not true yet: tried again until the deadline.
    NotYet,
    /// False; not tried again.
    Fail,
    /// It cannot be tested here.
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

    /// Not checked: the API server refuses a request.
    pub(super) fn forbidden(message: &str) -> Finding {
        Finding::skip(format!("permission denied: {message}"))
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

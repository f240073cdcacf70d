//! Detects an unresponsive API server from the requests of this run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

/// Seconds without an answer to a read after which the API server counts as unresponsive.
const SLOW: i64 = 3;

/// Shared by every request of a client.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Start of each read without an answer.
    waiting: BTreeMap<u64, Timestamp>,
    last_answer: Option<Timestamp>,
    /// Start of the first request that failed since the last answer.
    unresponsive_since: Option<Timestamp>,
}

impl Answers {
    /// A request starts; only a read counts as slow: a write can wait for webhooks.
    pub(super) fn begin(&self, is_read: bool) -> Pending {
        let began = Timestamp::now();
        let mut state = self.state();
        state.next += 1;
        let number = state.next;
        if is_read {
            state.waiting.insert(number, began);
        }
        drop(state);
        Pending { answers: self.clone(), number, began, is_answered: false }
    }

    /// Start of the unresponsiveness; `None` after an answer or without a request.
    pub(super) fn unresponsive_since(&self) -> Option<Timestamp> {
        let state = self.state();
        let now = Timestamp::now().as_second();
        let is_slow =
            |began: &&Timestamp| now - began.as_second() >= SLOW && state.last_answer.is_none_or(|last| last < **began);
        let slow = state.waiting.values().filter(is_slow).min().copied();
        state.unresponsive_since.into_iter().chain(slow).min()
    }

    /// Time of the last answer.
    pub(super) fn last_answer(&self) -> Option<Timestamp> {
        self.state().last_answer
    }

    /// A request with this start had no answer before its timeout.
    pub(super) fn gave_up(&self, began: Timestamp) {
        let mut state = self.state();
        if state.last_answer.is_none_or(|last| last < began) {
            state.unresponsive_since.get_or_insert(began);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request without an answer yet.
pub(super) struct Pending {
    answers: Answers,
    number: u64,
    began: Timestamp,
    is_answered: bool,
}

impl Pending {
    /// The response headers have arrived.
    pub(super) fn answered(mut self) {
        self.is_answered = true;
        let mut state = self.answers.state();
        state.last_answer = Some(Timestamp::now());
        state.unresponsive_since = None;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.answers.state().waiting.remove(&self.number);
        let has_waited = Timestamp::now().as_second() - self.began.as_second() >= SLOW;
        if !self.is_answered && has_waited {
            self.answers.gave_up(self.began);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_server_is_unresponsive_until_the_next_answer() {
        let answers = Answers::default();
        drop(answers.begin(true));
        assert_eq!(answers.unresponsive_since(), None, "a request that is cancelled at once does not count");
        let mut slow = answers.begin(true);
        slow.began -= jiff::SignedDuration::from_secs(60);
        let began = slow.began;
        answers.state().waiting.insert(slow.number, began);
        assert_eq!(answers.unresponsive_since(), Some(began));
        drop(slow);
        assert_eq!(answers.unresponsive_since(), Some(began), "it was cancelled, and there was no answer since");
        answers.begin(false).answered();
        assert_eq!(answers.unresponsive_since(), None);
        answers.gave_up(began);
        assert_eq!(answers.unresponsive_since(), None, "there was an answer since");
        let later = Timestamp::now();
        answers.gave_up(later);
        assert_eq!(answers.unresponsive_since(), Some(later));
    }
}

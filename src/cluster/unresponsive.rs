//! Since when the API server has not answered, as far as the requests of this run tell.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

/// Seconds after which a read without an answer tells of silence.
const SLOW: i64 = 3;

/// Shared by every request of a client.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Reads that wait for their answer, by when they began.
    waiting: BTreeMap<u64, Timestamp>,
    last_answer: Option<Timestamp>,
    /// When the first request began that failed or was given up, with no answer to any since.
    silent: Option<Timestamp>,
}

impl Answers {
    /// A request begins; only a read is taken for slow, since a change may wait for webhooks.
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

    /// Since when nothing was answered; `None` where there was an answer since, or nothing was asked.
    pub(super) fn unresponsive_since(&self) -> Option<Timestamp> {
        let state = self.state();
        let now = Timestamp::now().as_second();
        let is_slow =
            |began: &&Timestamp| now - began.as_second() >= SLOW && state.last_answer.is_none_or(|last| last < **began);
        let slow = state.waiting.values().filter(is_slow).min().copied();
        state.silent.into_iter().chain(slow).min()
    }

    /// When the last answer came.
    pub(super) fn last_answer(&self) -> Option<Timestamp> {
        self.state().last_answer
    }

    /// A request that began then had no answer in the time that was left for it.
    pub(super) fn gave_up(&self, began: Timestamp) {
        let mut state = self.state();
        if state.last_answer.is_none_or(|last| last < began) {
            state.silent.get_or_insert(began);
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
    /// The headers of the answer have come.
    pub(super) fn answered(mut self) {
        self.is_answered = true;
        let mut state = self.answers.state();
        state.last_answer = Some(Timestamp::now());
        state.silent = None;
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
    fn silence_lasts_until_the_next_answer() {
        let answers = Answers::default();
        drop(answers.begin(true));
        assert_eq!(answers.unresponsive_since(), None, "a request that is given up at once tells nothing");
        let mut slow = answers.begin(true);
        slow.began -= jiff::SignedDuration::from_secs(60);
        let began = slow.began;
        answers.state().waiting.insert(slow.number, began);
        assert_eq!(answers.unresponsive_since(), Some(began));
        drop(slow);
        assert_eq!(answers.unresponsive_since(), Some(began), "it was given up, and nothing was answered since");
        answers.begin(false).answered();
        assert_eq!(answers.unresponsive_since(), None);
        answers.gave_up(began);
        assert_eq!(answers.unresponsive_since(), None, "something was answered since");
        let later = Timestamp::now();
        answers.gave_up(later);
        assert_eq!(answers.unresponsive_since(), Some(later));
    }
}

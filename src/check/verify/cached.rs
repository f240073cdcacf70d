//! What several checks ask for at once is asked once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// How old an answer may be that is used again; shorter than the pause between two tries.
const FRESH: Duration = Duration::from_millis(400);

/// The latest answer and when it was asked for.
pub(super) struct Recent<T>(Mutex<Option<(Instant, Arc<T>)>>);

impl<T> Default for Recent<T> {
    fn default() -> Recent<T> {
        Recent(Mutex::new(None))
    }
}

impl<T> Recent<T> {
    /// The latest answer where it is fresh, or a new one; whoever asks meanwhile waits for that.
    pub(super) async fn or_ask<E>(&self, ask: impl Future<Output = Result<T, E>>) -> Result<Arc<T>, E> {
        let mut latest = self.0.lock().await;
        if let Some((_, answer)) = latest.as_ref().filter(|(asked, _)| asked.elapsed() < FRESH) {
            return Ok(answer.clone());
        }
        let asked = Instant::now();
        let answer = Arc::new(ask.await?);
        *latest = Some((asked, answer.clone()));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_shared_and_a_failure_is_not() {
        let recent = Recent::default();
        assert_eq!(recent.or_ask(async { Err::<u8, _>("away") }).await, Err("away"));
        assert_eq!(*recent.or_ask(async { Ok::<_, &str>(1) }).await.unwrap(), 1);
        assert_eq!(*recent.or_ask(async { Ok::<_, &str>(2) }).await.unwrap(), 1);
    }
}

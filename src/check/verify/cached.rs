//! A short-lived cache: concurrent checks that need the same answer share one request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// The age up to which an answer is reused; shorter than the pause between two tries.
const MAX_AGE: Duration = Duration::from_millis(400);

/// The latest answer and the time of its request.
pub(super) struct Recent<T>(Mutex<Option<(Instant, Arc<T>)>>);

impl<T> Default for Recent<T> {
    fn default() -> Recent<T> {
        Recent(Mutex::new(None))
    }
}

impl<T> Recent<T> {
    /// The latest answer if it is fresh, otherwise a new one; concurrent callers wait for the same request.
    pub(super) async fn get_or_request<E>(&self, request: impl Future<Output = Result<T, E>>) -> Result<Arc<T>, E> {
        let mut latest = self.0.lock().await;
        if let Some((_, answer)) = latest.as_ref().filter(|(requested, _)| requested.elapsed() < MAX_AGE) {
            return Ok(answer.clone());
        }
        let requested = Instant::now();
        let answer = Arc::new(request.await?);
        *latest = Some((requested, answer.clone()));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_shared_and_a_failure_is_not() {
        let recent = Recent::default();
        assert_eq!(recent.get_or_request(async { Err::<u8, _>("away") }).await, Err("away"));
        assert_eq!(*recent.get_or_request(async { Ok::<_, &str>(1) }).await.unwrap(), 1);
        assert_eq!(*recent.get_or_request(async { Ok::<_, &str>(2) }).await.unwrap(), 1);
    }
}

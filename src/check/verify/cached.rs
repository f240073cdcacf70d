//! A short-lived cache: concurrent checks that need the same answer share one request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// The latest answer and the time of its request.
pub(super) struct Recent<T> {
    latest: Mutex<Option<(Instant, Arc<T>)>>,
    max_age: Duration,
}

impl<T> Recent<T> {
    /// With the age up to which an answer is used again.
    pub(super) fn within(max_age: Duration) -> Recent<T> {
        Recent { latest: Mutex::new(None), max_age }
    }

    /// The latest answer if it is fresh, otherwise a new one; concurrent callers wait for the same request.
    pub(super) async fn get_or_request<E>(&self, request: impl Future<Output = Result<T, E>>) -> Result<Arc<T>, E> {
        let mut latest = self.latest.lock().await;
        if let Some((_, answer)) = latest.as_ref().filter(|(requested, _)| requested.elapsed() < self.max_age) {
            return Ok(answer.clone());
        }
        // Not beside the new one: it can be large.
        *latest = None;
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
    async fn an_answer_is_shared_until_its_age_and_a_failure_is_not() {
        let recent = Recent::within(Duration::from_secs(60));
        assert_eq!(recent.get_or_request(async { Err::<u8, _>("away") }).await, Err("away"));
        assert_eq!(*recent.get_or_request(async { Ok::<_, &str>(1) }).await.unwrap(), 1);
        assert_eq!(*recent.get_or_request(async { Ok::<_, &str>(2) }).await.unwrap(), 1);
        let recent = Recent::within(Duration::ZERO);
        assert_eq!(*recent.get_or_request(async { Ok::<_, &str>(1) }).await.unwrap(), 1);
        assert_eq!(*recent.get_or_request(async { Ok::<_, &str>(2) }).await.unwrap(), 2);
    }
}

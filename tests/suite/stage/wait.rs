//! Waiting with an end. Nothing here sleeps longer than it takes to look again.

use std::time::Duration;

use tokio::time::Instant;

/// Nothing on the stage may take longer: an undo that needs a person is tried again each minute.
pub const DEADLINE: Duration = Duration::from_secs(120);
/// How often we look again where nothing tells us to.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits for something that ends by itself.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(done) => done,
        Err(_) => panic!("waited {DEADLINE:?} in vain: {what}"),
    }
}

/// Looks again and again until there is something to see.
pub async fn until<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {DEADLINE:?} in vain: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

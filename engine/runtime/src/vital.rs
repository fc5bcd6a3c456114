//! Tasks that nobody waits for and without which a process is no engine and no worker. A panic in
//! one would be noticed by nobody: whoever waits for its work would wait for ever. So it is told
//! here, and whoever runs the process ends it.

use std::panic::AssertUnwindSafe;
use std::sync::LazyLock;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Those of this process.
static OURS: LazyLock<Vital> = LazyLock::new(Vital::default);

/// The name of the first one that has panicked.
#[derive(Default)]
struct Vital(watch::Sender<Option<&'static str>>);

/// Begins a task of this name. Must be called within a tokio runtime.
pub fn begin(
    what: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    OURS.begin(&Handle::current(), what, task)
}

/// The same, on this runtime.
pub fn begin_on(
    runtime: &Handle,
    what: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    OURS.begin(runtime, what, task)
}

/// Resolves when one of this process's tasks has panicked, and says which.
pub async fn broken() -> &'static str {
    OURS.broken().await
}

impl Vital {
    fn begin(
        &'static self,
        runtime: &Handle,
        what: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        runtime.spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                self.0.send_if_modified(|first| first.is_none() && first.replace(what).is_none());
            }
        })
    }

    async fn broken(&self) -> &'static str {
        let mut news = self.0.subscribe();
        let found = news.wait_for(Option::is_some).await;
        // The sender is never dropped.
        found.ok().and_then(|found| *found).unwrap_or("something")
    }
}

#[cfg(test)]
mod tests {
    use super::{FutureExt, Handle, Vital};

    fn alone() -> &'static Vital {
        Box::leak(Box::default())
    }

    #[tokio::test]
    async fn one_that_panics_is_told_to_whoever_listens_before_and_after() {
        let vital = alone();
        let before = tokio::spawn(vital.broken());
        vital
            .begin(&Handle::current(), "the outbox", async { panic!("it breaks") })
            .await
            .expect("it was caught");
        assert_eq!(before.await.expect("it was told"), "the outbox");
        assert_eq!(vital.broken().await, "the outbox");
    }

    #[tokio::test]
    async fn one_that_ends_is_no_news() {
        let vital = alone();
        vital.begin(&Handle::current(), "a batch", async {}).await.expect("a good end");
        assert_eq!(vital.broken().now_or_never(), None);
    }
}

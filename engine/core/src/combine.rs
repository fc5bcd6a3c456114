//! Waiting for several things at once, the same again on replay.
//!
//! A workflow is polled after every single fact, and everything here polls in the order in which
//! it was given things: who wins a race depends on the history alone. Whatever is dropped
//! unfinished stops: a step is no longer waited for, a timer no longer needed, an operation is
//! taken back.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;

use crate::context::Context;

/// What won a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first one.
    First(A),
    /// The second one.
    Second(B),
}

/// Waits for both.
///
/// ```
/// # use stead_core::combine::{both};
/// # use stead_core::context::Context;
/// # use stead_schemas::failure::Failure;
/// # use stead_schemas::step::probe::Noop;
/// async fn page(cx: Context) -> Result<(), Failure> {
///     let (home, machine) = (cx.step(Noop { number: 1 }), cx.step(Noop { number: 2 }));
///     let (home, machine) = both(home.into_future(), machine.into_future()).await;
///     home.and(machine).map(drop)
/// }
/// ```
pub async fn both<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> (A, B) {
    let (mut first, mut second) = (Box::pin(first), Box::pin(second));
    let (mut a, mut b) = (None, None);
    poll_fn(|waker| {
        if a.is_none()
            && let Poll::Ready(done) = first.as_mut().poll(waker)
        {
            a = Some(done);
        }
        if b.is_none()
            && let Poll::Ready(done) = second.as_mut().poll(waker)
        {
            b = Some(done);
        }
        match (a.take(), b.take()) {
            (Some(done_a), Some(done_b)) => Poll::Ready((done_a, done_b)),
            (done_a, done_b) => {
                (a, b) = (done_a, done_b);
                Poll::Pending
            }
        }
    })
    .await
}

/// Waits for all, at most `at_once` of them under way at a time. The results stand in the order
/// in which the futures were given.
///
/// ```
/// # use stead_core::combine::{all};
/// # use stead_core::context::Context;
/// # use stead_schemas::failure::Failure;
/// # use stead_schemas::step::probe::Noop;
/// async fn page(cx: Context) -> Result<usize, Failure> {
///     let machines = (0..100).map(|number| cx.step(Noop { number }).into_future());
///     let made = all(4, machines).await;
///     Ok(made.into_iter().filter(Result::is_ok).count())
/// }
/// ```
pub async fn all<F: Future>(
    at_once: usize,
    futures: impl IntoIterator<Item = F>,
) -> Vec<F::Output> {
    let mut waiting: VecDeque<_> = futures.into_iter().enumerate().collect();
    let mut results: Vec<Option<F::Output>> = Vec::new();
    results.resize_with(waiting.len(), || None);
    let mut under_way: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    poll_fn(|waker| {
        loop {
            under_way.retain_mut(|(place, future)| match future.as_mut().poll(waker) {
                Poll::Ready(done) => {
                    results[*place] = Some(done);
                    false
                }
                Poll::Pending => true,
            });
            let room = at_once.max(1).saturating_sub(under_way.len()).min(waiting.len());
            if room == 0 {
                break;
            }
            under_way.extend(waiting.drain(..room).map(|(place, f)| (place, Box::pin(f))));
        }
        if under_way.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    results.into_iter().flatten().collect()
}

/// Waits for whichever is done first; the other one is dropped: nobody waits for its step any more,
/// and what an operation in it has done is taken back. If both are done, the first wins.
///
/// ```
/// # use std::time::Duration;
/// # use stead_core::combine::{Either, race};
/// # use stead_core::context::Context;
/// # use stead_schemas::failure::Failure;
/// # use stead_schemas::step::probe::Noop;
/// async fn page(cx: Context) -> Result<bool, Failure> {
///     let works = cx.operation(async {
///         cx.step(Noop { number: 1 }).undo(Noop { number: 11 }).await?;
///         cx.step(Noop { number: 2 }).await
///     });
///     match race(works, cx.sleep(Duration::from_secs(60), "a minute's patience")).await {
///         Either::First(done) => done.map(|_| true),
///         Either::Second(()) => Ok(false),
///     }
/// }
/// ```
pub async fn race<A, B>(
    first: impl Future<Output = A>,
    second: impl Future<Output = B>,
) -> Either<A, B> {
    let (mut first, mut second) = (Box::pin(first), Box::pin(second));
    poll_fn(|waker| {
        if let Poll::Ready(done) = first.as_mut().poll(waker) {
            return Poll::Ready(Either::First(done));
        }
        second.as_mut().poll(waker).map(Either::Second)
    })
    .await
}

impl Context {
    /// Waits for `future`, but no longer than `span`; then it is dropped and there is nothing.
    /// `reason` says what the deadline is for.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use stead_core::context::Context;
    /// # use stead_schemas::failure::Failure;
    /// # async fn page(cx: Context) -> Result<(), Failure> {
    /// let hour = Duration::from_secs(3600);
    /// let said = cx.within(hour, "somebody approves", cx.signal::<bool>("approve")).await;
    /// if said.transpose()? == Some(true) {
    ///     cx.note("approved", "somebody has approved", &());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn within<T>(
        &self,
        span: Duration,
        reason: &str,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        match race(future, self.sleep(span, reason)).await {
            Either::First(done) => Some(done),
            Either::Second(()) => None,
        }
    }
}

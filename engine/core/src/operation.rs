//! An operation: steps that are taken back together if it fails, is cancelled, or is dropped.

use alloc::boxed::Box;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{self, Poll};

use stead_schemas::event::Seq;
use stead_schemas::failure::Failure;

use crate::context::Context;
use crate::shared::{ScopeId, Settled, Undo};

impl Context {
    /// Runs `body` as one operation: if it fails or is cancelled, every step in it that has an
    /// undo is taken back, last one first, before the failure is returned. An operation inside
    /// another one that is done becomes part of that one: it is taken back with it. One that is
    /// dropped, as the loser of a race, is taken back beside the workflow; the run does not end
    /// before that is done.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use stead_core::context::Context;
    /// # use stead_schemas::failure::Failure;
    /// # use stead_schemas::step::probe::Noop;
    /// async fn page(cx: Context) -> Result<(), Failure> {
    ///     cx.operation(async {
    ///         cx.step(Noop { number: 1 }).undo(Noop { number: 11 }).await?;
    ///         cx.step(Noop { number: 2 }).within(Duration::from_secs(60)).attempts(5).await
    ///     })
    ///     .await
    ///     .map(drop)
    /// }
    /// ```
    ///
    /// # Errors
    /// The failure of `body`.
    pub async fn operation<T>(
        &self,
        body: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let open = Open { id: self.shared().borrow_mut().open_scope(), cx: self.clone() };
        let mut result = Inside { open: &open, body: Box::pin(body) }.await;
        // The last step may have been done before it could be stopped: a cancel that was let in
        // takes it back all the same.
        if let Some(cancelled) = self.cancelled() {
            result = result.and_then(|_| Err(cancelled));
        }
        if result.is_err() {
            self.undo(open.id).await;
        }
        open.close();
        result
    }

    /// Takes one thing back that is nobody's part, and says what became of that.
    pub(crate) async fn undo_apart(&self, undo: Undo) -> Option<Settled> {
        let open = Open { id: self.shared().borrow_mut().open_apart(undo), cx: self.clone() };
        let settled = self.undo_next(open.id).await;
        open.close();
        settled
    }

    async fn undo(&self, scope: ScopeId) {
        while self.undo_next(scope).await.is_some() {}
    }

    /// What became of the next undo, once it is settled; nothing if there is none.
    async fn undo_next(&self, scope: ScopeId) -> Option<Settled> {
        let seq = poll_fn(|_| self.next_undo(scope)).await?;
        let settled = self.settled(seq).await;
        if let Some(scope) = self.shared().borrow_mut().scopes.get_mut(&scope) {
            scope.under_way = None;
        }
        Some(settled)
    }

    /// The undo that is under way, or else the next one, which is asked for.
    fn next_undo(&self, id: ScopeId) -> Poll<Option<Seq>> {
        let mut shared = self.shared().borrow_mut();
        let Some(scope) = shared.scopes.get_mut(&id) else { return Poll::Ready(None) };
        scope.undoing = true;
        // Whoever waited for it was dropped.
        if scope.under_way.is_some() {
            return Poll::Ready(scope.under_way);
        }
        if shared.undo_waits(id) {
            return Poll::Pending;
        }
        let undo = shared.scopes.get_mut(&id).and_then(|scope| scope.undos.pop());
        let seq = undo.map(|undo| shared.schedule(undo.wanted()));
        if let Some(scope) = shared.scopes.get_mut(&id) {
            scope.under_way = seq;
        }
        Poll::Ready(seq)
    }

    async fn settled(&self, seq: Seq) -> Settled {
        poll_fn(|_| match self.shared().borrow_mut().take_settled(seq) {
            Some(settled) => Poll::Ready(settled),
            None => Poll::Pending,
        })
        .await
    }
}

/// An operation that is open; dropping it takes it back.
struct Open {
    id: ScopeId,
    cx: Context,
}

impl Open {
    fn close(self) {
        self.cx.shared().borrow_mut().close_scope(self.id);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let (cx, id) = (self.cx.clone(), self.id);
        let Ok(mut shared) = self.cx.shared().try_borrow_mut() else { return };
        let Some(scope) = shared.scopes.get_mut(&id) else { return };
        scope.undoing = true;
        // It is nobody's part any more.
        scope.parent = None;
        if !shared.over {
            shared.aside.push(Box::pin(async move {
                cx.undo(id).await;
                cx.shared().borrow_mut().close_scope(id);
            }));
        }
    }
}

/// Polls the body of an operation so that its steps know that they belong to it.
struct Inside<'a, F> {
    open: &'a Open,
    body: Pin<Box<F>>,
}

impl<F: Future> Future for Inside<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, waker: &mut task::Context<'_>) -> Poll<F::Output> {
        let shared = self.open.cx.shared();
        let outer = shared.borrow_mut().current.replace(self.open.id);
        let polled = self.body.as_mut().poll(waker);
        self.open.cx.shared().borrow_mut().current = outer;
        polled
    }
}

//! An inner service that was made ready for a call which cannot begin yet.

use std::{
    future::poll_fn,
    mem,
    task::{Context, Poll, ready},
};
use tower_service::Service;

/// The instance that `poll_ready` was asked of, on its way into a call.
///
/// Readiness reserves (a permit of a limit, a slot of a buffer), so it must not be held while the call waits for something
/// else: the body of a slow caller, a store, another request. [`release`](Self::release) drops the instance in exchange for a
/// clone, which is then asked again. The instance that is called is always the one that was ready.
pub(crate) struct Readied<S> {
    service: S,
    is_ready: bool,
}

impl<S> Readied<S> {
    /// Creates it from an instance that is ready.
    pub(crate) const fn new(service: S) -> Self {
        Self { service, is_ready: true }
    }

    /// Returns `Ready` at once where the readiness was not released.
    pub(crate) fn poll_ready<R>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
    where
        S: Service<R>,
    {
        if !self.is_ready {
            ready!(self.service.poll_ready(cx))?;
            self.is_ready = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Calls the instance, which [`poll_ready`](Self::poll_ready) has found ready.
    pub(crate) fn call<R>(&mut self, request: R) -> S::Future
    where
        S: Service<R>,
    {
        self.is_ready = false;
        self.service.call(request)
    }
}

impl<S: Clone> Readied<S> {
    /// Gives the reservation back.
    pub(crate) fn release(&mut self) {
        if mem::take(&mut self.is_ready) {
            self.service = self.service.clone();
        }
    }

    /// Polls `work` to its end. Where it does not end in its first poll, the reservation is given back in that poll.
    #[cfg_attr(
        not(feature = "idempotency"),
        expect(dead_code, reason = "the other layers wait in futures of their own")
    )]
    pub(crate) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        poll_fn(|cx| {
            let polled = work.as_mut().poll(cx);
            if polled.is_pending() {
                self.release();
            }
            polled
        })
        .await
    }
}

//! Panics of what is the user's: caught where they would end a worker or a request.

use crate::error::StoreError;
use pin_project_lite::pin_project;
use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

/// Runs `work`, or returns the words of its panic. Nothing of it is looked at again after a panic, so no broken invariant is seen.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(said)
}

/// The words of a panic. Its payload may panic as well when it is dropped; the second one is left alone.
pub(super) fn said(payload: Box<dyn Any + Send>) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned();
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(second);
    }
    text
}

/// A value of a user's type. It is dropped without a panic.
pub(super) struct Contained<T>(Option<T>);

impl<T> Contained<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// Uses the value, or returns the words of the panic. Where a panic has left the value half changed, drop it.
    pub(super) fn with<R>(&mut self, work: impl FnOnce(&mut T) -> R) -> Result<R, String> {
        match &mut self.0 {
            Some(value) => caught(|| work(value)),
            // taken only when it is dropped
            None => Err(String::new()),
        }
    }
}

impl<T> Drop for Contained<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            let _ = caught(|| drop(value));
        }
    }
}

pin_project! {
    /// A future of a user's type: a panic is its output, and it is dropped without one as soon as it has ended.
    pub(super) struct Caught<F> {
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Caught<F> {
        fn drop(this: Pin<&mut Self>) {
            this.end();
        }
    }
}

impl<F> Caught<F> {
    pub(super) fn new(future: F) -> Self {
        Self { future: Some(future) }
    }

    fn end(self: Pin<&mut Self>) {
        let mut future = self.project().future;
        let _ = caught(|| future.set(None));
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = self.as_mut().project().future.as_pin_mut() else { return Poll::Pending };
        let output = match caught(|| future.poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(panic),
        };
        self.end();
        Poll::Ready(output)
    }
}

/// A call of a store, which may be the user's: a panic is an error.
pub(super) async fn of_store<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let panicked = |panic| Err(StoreError::with_source("the store panicked", panic));
    Caught::new(call).await.unwrap_or_else(panicked)
}

//! Panics of foreign code, caught where they would end something else.
//!
//! Nothing that the code may have left half changed is looked at after its panic, so no broken invariant is seen.

#[cfg(any(feature = "idempotency", feature = "queue"))]
use pin_project_lite::pin_project;
use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};
#[cfg(any(feature = "idempotency", feature = "queue"))]
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// The payload of a panic. Its type is foreign as well: a panic of its drop is ignored.
pub(crate) struct Panic(Option<Box<dyn Any + Send>>);

/// Runs `work`, or returns its panic.
#[inline]
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Panic(Some(payload)))
}

/// Runs code whose result nobody needs: a waker, a recorder, a subscriber, a drop. Its panic is ignored, because it would otherwise
/// end a call that has nothing to do with it, or, out of a drop, the process.
#[inline]
#[cfg_attr(
    not(any(feature = "circuit-breaker", feature = "idempotency", feature = "queue", feature = "testing")),
    allow(dead_code, reason = "called by events, which not every set of features has")
)]
pub(crate) fn unharmed(work: impl FnOnce()) {
    drop(caught(work));
}

impl Panic {
    /// Continues the panic in the caller.
    #[cfg(feature = "idempotency")]
    pub(crate) fn resume(mut self) -> ! {
        std::panic::resume_unwind(self.0.take().unwrap_or_else(|| Box::new("no message")))
    }
}

/// Writes the message of the panic.
impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = self.0.as_deref();
        let text = payload.and_then(|payload| payload.downcast_ref::<&str>().copied());
        let text = text.or_else(|| payload?.downcast_ref::<String>().map(String::as_str));
        f.write_str(text.unwrap_or("no message"))
    }
}

impl Drop for Panic {
    fn drop(&mut self) {
        if let Some(payload) = self.0.take()
            && let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload)))
        {
            // a third one is not waited for
            std::mem::forget(second);
        }
    }
}

/// A value of a user's type. It is dropped without a panic.
#[cfg(feature = "queue")]
pub(crate) struct Contained<T>(Option<T>);

#[cfg(feature = "queue")]
impl<T> Contained<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// Uses the value, or returns the panic. Where a panic has left the value half changed, drop it.
    pub(crate) fn with<R>(&mut self, work: impl FnOnce(&mut T) -> R) -> Result<R, Panic> {
        match &mut self.0 {
            Some(value) => caught(|| work(value)),
            // taken only when it is dropped
            None => Err(Panic(None)),
        }
    }
}

#[cfg(feature = "queue")]
impl<T> Drop for Contained<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            unharmed(|| drop(value));
        }
    }
}

#[cfg(any(feature = "idempotency", feature = "queue"))]
pin_project! {
    /// A future of a user's type: its panic is its output, and it is dropped without one as soon as it has ended.
    pub(crate) struct Caught<F> {
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Caught<F> {
        fn drop(this: Pin<&mut Self>) {
            this.end();
        }
    }
}

#[cfg(any(feature = "idempotency", feature = "queue"))]
impl<F> Caught<F> {
    pub(crate) const fn new(future: F) -> Self {
        Self { future: Some(future) }
    }

    fn end(self: Pin<&mut Self>) {
        let mut future = self.project().future;
        unharmed(|| future.set(None));
    }
}

#[cfg(any(feature = "idempotency", feature = "queue"))]
impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panic>;

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

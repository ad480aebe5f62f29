use crate::attempt::Attempt;
use pin_project_lite::pin_project;
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

pin_project! {
    /// Polls with the deadline of the attempt in scope, and gives a panic back as its message.
    pub(super) struct Guarded<F> {
        #[pin]
        inner: F,
        attempt: Attempt,
    }
}

impl<F> Guarded<F> {
    pub(super) const fn new(inner: F, attempt: Attempt) -> Self {
        Self { inner, attempt }
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Result<F::Output, String>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let poll = || this.inner.poll(cx);
        // Unwind safe: after a panic the future is only dropped, and nothing else of the worker was borrowed.
        match this.attempt.scope(|| catch_unwind(AssertUnwindSafe(poll))).0 {
            Ok(polled) => polled.map(Ok),
            Err(payload) => Poll::Ready(Err(said(&*payload))),
        }
    }
}

fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

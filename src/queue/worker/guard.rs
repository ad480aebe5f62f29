use crate::{
    attempt::Attempt,
    classify::Reported,
    panic::{Panic, caught},
};
use pin_project_lite::pin_project;
use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

pin_project! {
    /// Polls with the deadline of the attempt in scope, keeps what the layers below report of theirs, and returns a panic as an
    /// error.
    pub(super) struct Guarded<F> {
        #[pin]
        inner: F,
        attempt: Attempt,
        reported: Reported,
    }
}

impl<F> Guarded<F> {
    pub(super) fn new(inner: F, attempt: Attempt) -> Self {
        Self { inner, attempt, reported: Reported::default() }
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Result<(F::Output, Reported), Panic>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let reported = this.reported;
        let poll = || reported.listen(|| this.inner.poll(cx));
        // Unwind safe: after a panic the future is only dropped, and nothing else of the worker was borrowed.
        match this.attempt.scope(|| caught(poll)).0 {
            Ok(polled) => polled.map(|out| Ok((out, mem::take(reported)))),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

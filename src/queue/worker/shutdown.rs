use crate::{panic::Caught, queue::Queue, telemetry::event};
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

pin_project! {
    /// The user's signal to stop. If it panics, it can never be ready: the worker stops in order.
    pub(super) struct Shutdown<'a, F> {
        #[pin]
        signal: Caught<F>,
        queue: &'a Queue,
    }
}

impl<'a, F> Shutdown<'a, F> {
    pub(super) fn new(signal: F, queue: &'a Queue) -> Self {
        Self { signal: Caught::new(signal), queue }
    }
}

impl<F: Future<Output = ()>> Future for Shutdown<'_, F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if let Err(panic) = ready!(this.signal.poll(cx)) {
            event!(
                ERROR,
                "the shutdown signal of a worker panicked: the worker stops",
                queue = this.queue.name(),
                error = panic.to_string()
            );
        }
        Poll::Ready(())
    }
}

//! The time that a body takes to arrive.

use super::ReadTimeouts;
use crate::attempt::moment_after;
use pin_project_lite::pin_project;
use std::{
    future::poll_fn,
    mem,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::{Instant, Sleep, sleep_until};

pin_project! {
    /// Is made, and looks at the clock, only where a body is waited for.
    pub(super) struct ReadTimer {
        timeouts: ReadTimeouts,
        // the first wait
        began: Option<Instant>,
        // at the last wait, in bytes
        received: u64,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl ReadTimer {
    pub(super) const fn new(timeouts: ReadTimeouts) -> Self {
        Self { timeouts, began: None, received: 0, sleep: None }
    }

    /// Waits for data beside the body, of which `received` bytes have arrived. Ready: it took too long.
    pub(super) fn poll_elapsed(self: Pin<&mut Self>, received: u64, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if this.began.is_none() || received != *this.received {
            let now = Instant::now();
            let began = *this.began.get_or_insert(now);
            *this.received = received;
            let idle = moment_after(now, this.timeouts.idle());
            let at = idle.min(moment_after(began, this.timeouts.total_for(received)));
            match this.sleep.as_mut().as_pin_mut() {
                Some(sleep) => sleep.reset(at),
                None => this.sleep.set(Some(sleep_until(at))),
            }
        }
        this.sleep.as_pin_mut().map_or(Poll::Pending, |sleep| sleep.poll(cx))
    }

    /// Returns whether the body took too long, after other tasks had their turn: for a body that is always ready, and brings nothing.
    pub(super) async fn is_over(mut self: Pin<&mut Self>, received: u64) -> bool {
        let mut has_yielded = false;
        poll_fn(|cx| {
            if self.as_mut().poll_elapsed(received, cx).is_ready() {
                return Poll::Ready(true);
            }
            if mem::replace(&mut has_yielded, true) {
                return Poll::Ready(false);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }
}

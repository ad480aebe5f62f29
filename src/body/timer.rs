//! The time that a body takes to arrive.

use super::ReadTimeouts;
use crate::attempt::moment_after;
use pin_project_lite::pin_project;
use std::{
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
}

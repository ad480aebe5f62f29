use crate::retry::Permit;
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

pin_project! {
    /// The wait before a repeat. Dropped before its end, it gives back what was taken out of the budget.
    #[derive(Debug)]
    pub struct Wait {
        #[pin]
        sleep: Sleep,
        permit: Option<Permit>,
    }
}

impl Wait {
    pub(super) fn new(delay: Duration, permit: Option<Permit>) -> Self {
        Self { sleep: sleep(delay), permit }
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        ready!(this.sleep.poll(cx));
        if let Some(permit) = this.permit.take() {
            permit.spend();
        }
        Poll::Ready(())
    }
}

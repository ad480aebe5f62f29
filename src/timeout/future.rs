use super::{Elapsed, Limit};
use crate::{
    answer::{Answer, Cause},
    attempt::Attempt,
};
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

/// What a total deadline tells the layers below, and what they told it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    pub(super) attempt: Attempt,
    pub(super) told: u32,
}

pin_project! {
    /// The response, or what the deadline makes of it.
    pub struct ResponseFuture<S, Req, M>
    where
        S: Service<Req>,
        M: Answer<Req, S::Response, S::Error>,
    {
        #[pin]
        call: S::Future,
        // `None`: no deadline of this layer
        #[pin]
        sleep: Option<Sleep>,
        seen: M::Seen,
        limit: Limit,
        scope: Option<Scope>,
    }
}

impl<S, Req, M> ResponseFuture<S, Req, M>
where
    S: Service<Req>,
    M: Answer<Req, S::Response, S::Error>,
{
    pub(super) fn new(call: S::Future, seen: M::Seen, at: Instant, limit: Limit, scope: Option<Scope>) -> Self {
        Self { call, sleep: Some(sleep_until(at)), seen, limit, scope }
    }

    pub(super) const fn unlimited(call: S::Future, seen: M::Seen, limit: Limit) -> Self {
        Self { call, sleep: None, seen, limit, scope: None }
    }
}

impl<S, Req, M> Future for ResponseFuture<S, Req, M>
where
    S: Service<Req>,
    M: Answer<Req, S::Response, S::Error>,
{
    type Output = Result<M::Response, M::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = match this.scope {
            Some(scope) => {
                let (polled, told) = scope.attempt.scope(|| this.call.poll(cx));
                scope.told = scope.told.max(told);
                polled
            }
            // what is current here was set by the layers above, for this poll too
            None => this.call.poll(cx),
        };
        let sleep = this.sleep.as_pin_mut();
        let elapsed = || {
            let attempts = match &*this.scope {
                Some(scope) => scope.told,
                None => Attempt::current().map_or(0, Attempt::number),
            };
            Elapsed::new(*this.limit, attempts)
        };
        match polled {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(M::pass(response))),
            // reqwest has a timer of its own, which may end at the same moment: only an error pays for the look at the clock
            Poll::Ready(Err(error)) => Poll::Ready(Err(match sleep {
                Some(sleep) if sleep.deadline() <= Instant::now() => M::fail_late(error, elapsed()),
                _ => M::fail(error),
            })),
            Poll::Pending => {
                let Some(sleep) = sleep else { return Poll::Pending };
                ready!(sleep.poll(cx));
                Poll::Ready(M::answer(this.seen, Cause::Elapsed(elapsed())))
            }
        }
    }
}

impl<S, Req, M> fmt::Debug for ResponseFuture<S, Req, M>
where
    S: Service<Req>,
    M: Answer<Req, S::Response, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("timeout::ResponseFuture")
            .field("limit", &self.limit)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

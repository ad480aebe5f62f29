use super::{Fixed, Limit, PerCall, ResponseFuture, TimeoutLayer, future::Scope};
use crate::{
    answer::{Answer, Fail},
    attempt::{Attempt, deadline_after},
};
use std::{
    fmt,
    task::{Context, Poll},
};
use tower_service::Service;

/// What [`TimeoutLayer`] makes; see the [module docs](crate::timeout).
pub struct Timeout<S, M = Fail, D = Fixed> {
    pub(super) inner: S,
    pub(super) layer: TimeoutLayer<M, D>,
}

impl<S, M, D, Req> Service<Req> for Timeout<S, M, D>
where
    S: Service<Req>,
    M: Answer<Req, S::Response, S::Error>,
    D: PerCall<Req>,
{
    type Response = M::Response;
    type Error = M::Error;
    type Future = ResponseFuture<S, Req, M>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), M::Error>> {
        self.inner.poll_ready(cx).map_err(M::fail)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let seen = M::see(&request);
        let outer = Attempt::current_or_default();
        let Some(time) = self.layer.time_for(&request) else {
            // a deadline of the layers above is kept by them
            return ResponseFuture::unlimited(self.inner.call(request), seen, self.layer.limit);
        };
        let own = deadline_after(time);
        let (at, limit) = match outer.deadline() {
            Some(deadline) if deadline <= own => (deadline, Limit::Total),
            _ => (own, self.layer.limit),
        };
        match self.layer.limit {
            Limit::Total => {
                let attempt = outer.with_deadline(at);
                let (call, told) = attempt.scope(|| self.inner.call(request));
                ResponseFuture::new(call, seen, at, limit, Some(Scope { attempt, told }))
            }
            Limit::Attempt => ResponseFuture::new(self.inner.call(request), seen, at, limit, None),
        }
    }
}

#[cfg(all(feature = "retry", feature = "circuit-breaker", feature = "idempotency"))]
impl<S, M, D> Timeout<S, M, D> {
    /// Returns where the time of a call comes from.
    pub(crate) const fn per_call_mut(&mut self) -> &mut D {
        &mut self.layer.per_call
    }

    /// Returns the service that the layer wraps.
    pub(crate) const fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }
}

impl<S: Clone, M, D: Clone> Clone for Timeout<S, M, D> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S: fmt::Debug, M, D: fmt::Debug> fmt::Debug for Timeout<S, M, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout").field("inner", &self.inner).field("layer", &self.layer).finish()
    }
}

use super::{Limit, Timeout};
use crate::answer::{Fail, Respond};
use std::{fmt, marker::PhantomData, time::Duration};
use tower_layer::Layer;

/// A deadline for the whole call or for each attempt; see the [module docs](crate::timeout).
pub struct TimeoutLayer<M = Fail> {
    pub(super) limit: Limit,
    pub(super) after: Duration,
    mode: PhantomData<fn() -> M>,
}

impl TimeoutLayer {
    /// For the whole call, however many attempts it takes.
    pub const fn total(after: Duration) -> Self {
        Self::new(Limit::Total, after)
    }

    /// For each attempt; never beyond the deadline of the whole call.
    pub const fn attempt(after: Duration) -> Self {
        Self::new(Limit::Attempt, after)
    }

    /// Answers (504, or `DEADLINE_EXCEEDED`) instead of failing: for servers.
    pub const fn respond(self) -> TimeoutLayer<Respond> {
        TimeoutLayer::new(self.limit, self.after)
    }
}

impl<M> TimeoutLayer<M> {
    const fn new(limit: Limit, after: Duration) -> Self {
        Self { limit, after, mode: PhantomData }
    }
}

impl<S, M> Layer<S> for TimeoutLayer<M> {
    type Service = Timeout<S, M>;

    fn layer(&self, inner: S) -> Timeout<S, M> {
        Timeout { inner, layer: *self }
    }
}

impl<M> Clone for TimeoutLayer<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for TimeoutLayer<M> {}

impl<M> fmt::Debug for TimeoutLayer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutLayer").field("limit", &self.limit).field("after", &self.after).finish()
    }
}

use super::{Asked, Fixed, InRequest, Limit, PerCall, Timeout};
use crate::answer::{Fail, Respond};
use std::{fmt, marker::PhantomData, time::Duration};
use tower_layer::Layer;

/// A deadline for the whole call or for each attempt; see the [module docs](crate::timeout).
///
/// `D` says where the time for one call comes from.
pub struct TimeoutLayer<M = Fail, D = Fixed> {
    pub(super) limit: Limit,
    /// `None`: only what a call asks for.
    after: Option<Duration>,
    pub(super) per_call: D,
    mode: PhantomData<fn() -> M>,
}

impl TimeoutLayer {
    /// For the whole call, however many attempts it takes.
    pub const fn total(after: Duration) -> Self {
        Self::new(Limit::Total, Some(after), Fixed)
    }

    /// For each attempt; never beyond the deadline of the whole call.
    pub const fn attempt(after: Duration) -> Self {
        Self::new(Limit::Attempt, Some(after), Fixed)
    }
}

impl<D: Copy> TimeoutLayer<Fail, D> {
    /// Answers (504, or `DEADLINE_EXCEEDED`) instead of failing: for servers.
    pub const fn respond(self) -> TimeoutLayer<Respond, D> {
        TimeoutLayer::new(self.limit, self.after, self.per_call)
    }
}

impl<M> TimeoutLayer<M> {
    /// Takes the time that a request carries, if it does: see [`InRequest`].
    #[must_use]
    pub const fn per_call(self) -> TimeoutLayer<M, InRequest> {
        TimeoutLayer::new(self.limit, self.after, InRequest)
    }

    /// A call has the time that `time_for` finds in its request, if it finds one: for any type of request.
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast::timeout::TimeoutLayer;
    ///
    /// struct Command { patience: Option<Duration> }
    /// let layer = TimeoutLayer::total(Duration::from_secs(30)).per_call_of(|command: &Command| command.patience);
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn per_call_of<Req, F: Fn(&Req) -> Option<Duration>>(self, time_for: F) -> TimeoutLayer<M, Asked<F>> {
        TimeoutLayer::new(self.limit, self.after, Asked(time_for))
    }
}

impl<M, D> TimeoutLayer<M, D> {
    const fn new(limit: Limit, after: Option<Duration>, per_call: D) -> Self {
        Self { limit, after, per_call, mode: PhantomData }
    }

    /// For the whole call: the time that `per_call` finds, else `after`, else none.
    #[cfg(all(feature = "retry", feature = "circuit-breaker", feature = "idempotency"))]
    pub(crate) const fn per_call_by(after: Option<Duration>, per_call: D) -> Self {
        Self::new(Limit::Total, after, per_call)
    }

    /// The time for this call.
    #[inline]
    pub(super) fn time_for<Req>(&self, request: &Req) -> Option<Duration>
    where
        D: PerCall<Req>,
    {
        let own = self.per_call.time_for(request).or(self.after);
        match (own, self.per_call.at_most(request)) {
            (Some(own), Some(most)) => Some(own.min(most)),
            (own, most) => own.or(most),
        }
    }
}

impl<S, M, D: Clone> Layer<S> for TimeoutLayer<M, D> {
    type Service = Timeout<S, M, D>;

    fn layer(&self, inner: S) -> Timeout<S, M, D> {
        Timeout { inner, layer: self.clone() }
    }
}

impl<M, D: Clone> Clone for TimeoutLayer<M, D> {
    fn clone(&self) -> Self {
        Self::new(self.limit, self.after, self.per_call.clone())
    }
}

impl<M, D: Copy> Copy for TimeoutLayer<M, D> {}

impl<M, D: fmt::Debug> fmt::Debug for TimeoutLayer<M, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutLayer")
            .field("limit", &self.limit)
            .field("after", &self.after)
            .field("per_call", &self.per_call)
            .finish()
    }
}

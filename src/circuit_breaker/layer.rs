use super::{CircuitBreaker, Circuits, KeyedBy, Readiness, ReleasingLayer, waiting::Place};
use crate::{
    answer::{Fail, Respond},
    classify::{ByError, ByResult, Http, Outcome},
};
use std::{error::Error, fmt, marker::PhantomData, sync::Arc};
use tower_layer::Layer;

/// Refuses calls to what does not answer; see the [module docs](crate::circuit_breaker).
pub struct CircuitBreakerLayer<C = Http, M = Fail> {
    pub(super) parts: Arc<Parts<C>>,
    pub(super) until_head: bool,
    pub(super) readiness: Readiness,
    mode: PhantomData<fn() -> M>,
}

/// What a call needs to the end: behind one counter, not two.
pub(super) struct Parts<C> {
    pub(super) circuits: Circuits,
    pub(super) classify: Arc<C>,
}

impl CircuitBreakerLayer {
    /// For HTTP and gRPC: a [`Circuit`](super::Circuit), or [`Circuits::per_origin`].
    pub fn new(circuits: impl Into<Circuits>) -> Self {
        Self::with(circuits, Http::new())
    }
}

impl CircuitBreakerLayer<ByResult> {
    /// Creates a layer for any service: `Ok` is a success, errors are judged by [`of_error`](crate::classify::of_error). An error
    /// of a type that is unknown there counts as a failure, whatever it means: [`by_error`](Self::by_error) names its outcome.
    pub fn by_result(circuits: impl Into<Circuits>) -> Self {
        Self::with(circuits, ByResult)
    }
}

impl<E, F> CircuitBreakerLayer<ByError<E, F>>
where
    E: Error + 'static,
    F: Fn(&E) -> Outcome + Send + Sync + 'static,
{
    /// Creates a layer for any service: `Ok` is a success, `judge` names the outcome of an error of type `E`; see [`ByError`].
    pub fn by_error(circuits: impl Into<Circuits>, judge: F) -> Self {
        Self::with(circuits, ByError::new(judge))
    }
}

impl<C> CircuitBreakerLayer<C> {
    /// With this classifier.
    pub fn with(circuits: impl Into<Circuits>, classify: C) -> Self {
        Self::of(circuits.into(), Arc::new(classify), false, Readiness::Reject)
    }
}

impl<M> CircuitBreakerLayer<Http, M> {
    /// States that the client below follows no redirects: see [`Http::without_redirects`]. A worker, or a retry layer above, then
    /// learns that a request whose connect failed was never sent.
    #[must_use]
    pub fn without_redirects(self) -> Self {
        let Parts { circuits, classify } = &*self.parts;
        let classify = Arc::new(Http::clone(classify).without_redirects());
        Self::of(circuits.clone(), classify, self.until_head, self.readiness)
    }
}

impl<C, M> CircuitBreakerLayer<C, M> {
    fn of(circuits: Circuits, classify: Arc<C>, until_head: bool, readiness: Readiness) -> Self {
        Self { parts: Arc::new(Parts { circuits, classify }), until_head, readiness, mode: PhantomData }
    }

    /// Answers (503 with `Retry-After`, or UNAVAILABLE) instead of failing: for servers.
    #[must_use]
    pub fn respond(self) -> CircuitBreakerLayer<C, Respond> {
        CircuitBreakerLayer {
            parts: self.parts,
            until_head: self.until_head,
            readiness: self.readiness,
            mode: PhantomData,
        }
    }

    /// Ends a call with the head of its response: for services whose bodies are no sign of their health. A body that breaks
    /// off or stalls, and a gRPC status in the trailers, are then not seen.
    #[must_use]
    pub fn until_head(mut self) -> Self {
        self.until_head = true;
        self
    }

    /// What `poll_ready` says while the circuit refuses. [`Readiness::Pend`] holds for a single [`Circuit`](super::Circuit): of
    /// circuits by key nobody knows before the request which one it will be, and they are asked in the call as ever.
    ///
    /// # Panics
    /// Not here; but a service with [`Readiness::Pend`] waits by tokio's timer, which panics outside of a runtime that has one.
    #[must_use]
    pub const fn with_readiness(mut self, readiness: Readiness) -> Self {
        self.readiness = readiness;
        self
    }

    /// Lets the inner service go when a call is refused, and keeps a clone in its place: what it had reserved when it was made
    /// ready (the place of a limit, a slot of a buffer) is free at once, and not only at the next call or the drop.
    ///
    /// For a service that is kept after a refused call, as `tower::buffer` keeps its own. [`ClientStack`](crate::stack::ClientStack)
    /// does it by itself. A retry layer above does it for calls that wait for another attempt, but not for a request that it does
    /// not repeat ([`NoRetry`](crate::retry::NoRetry), no retries, a retry layer above).
    #[must_use]
    pub const fn releasing(self) -> ReleasingLayer<Self> {
        ReleasingLayer::new(self)
    }

    /// One circuit for each key that `key` finds in a request (a tenant, a route), in place of its origin. `None`: the
    /// circuit without a key.
    ///
    /// The key is borrowed from the request, so that looking up a circuit allocates nothing; one that is put together from
    /// several parts goes into the request's extensions first. The type of the request is written out in the closure.
    ///
    /// ```
    /// use steadfast::circuit_breaker::{CircuitBreakerLayer, Circuits, Config};
    ///
    /// let circuits = Circuits::per_origin("tenants", Config::default());
    /// let layer = CircuitBreakerLayer::new(circuits)
    ///     .keyed_by(|request: &http::Request<String>| request.headers().get("x-tenant")?.to_str().ok());
    /// ```
    #[must_use]
    pub fn keyed_by<Req, F>(self, key: F) -> CircuitBreakerLayer<KeyedBy<C, F>, M>
    where
        F: for<'a> Fn(&'a Req) -> Option<&'a str> + Send + Sync + 'static,
    {
        let Parts { circuits, classify } = &*self.parts;
        let classify = Arc::new(KeyedBy::new(classify.clone(), key));
        CircuitBreakerLayer::of(circuits.clone(), classify, self.until_head, self.readiness)
    }
}

impl<S, C, M> Layer<S> for CircuitBreakerLayer<C, M> {
    type Service = CircuitBreaker<S, C, M>;

    fn layer(&self, inner: S) -> CircuitBreaker<S, C, M> {
        let layer = self.clone();
        CircuitBreaker { inner, layer, skipped: false, asked: false, release: None, place: Place::default() }
    }
}

impl<C, M> Clone for CircuitBreakerLayer<C, M> {
    fn clone(&self) -> Self {
        Self { parts: self.parts.clone(), until_head: self.until_head, readiness: self.readiness, mode: PhantomData }
    }
}

impl<C, M> fmt::Debug for CircuitBreakerLayer<C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerLayer")
            .field("circuits", &self.parts.circuits)
            .field("until_head", &self.until_head)
            .field("readiness", &self.readiness)
            .finish_non_exhaustive()
    }
}

use super::{CircuitBreakerLayer, Readiness, ResponseFuture, asked::Asked, call::Call, layer::Parts, waiting::Place};
use crate::{
    answer::{Answer, Cause, Fail},
    classify::{Classify, Http},
};
use std::{
    fmt, mem,
    task::{Context, Poll, ready},
};
use tower_service::Service;

/// What [`CircuitBreakerLayer`] makes; see the [module docs](crate::circuit_breaker).
pub struct CircuitBreaker<S, C = Http, M = Fail> {
    pub(super) inner: S,
    pub(super) layer: CircuitBreakerLayer<C, M>,
    /// The circuit refused when readiness was asked for, so the inner service was not asked: it must not be called then,
    /// whatever the circuit says by now.
    pub(super) skipped: bool,
    /// The inner service was asked whether it is ready since the last call: it may hold a place of a limit for the next one.
    pub(super) asked: bool,
    /// Replaces the inner service after a refusal; see [`CircuitBreakerLayer::releasing`].
    pub(super) release: Option<fn(&S) -> S>,
    /// In the line of those who wait, with [`Readiness::Pend`].
    pub(super) place: Place,
}

impl<S, C, M, Req> Service<Req> for CircuitBreaker<S, C, M>
where
    S: Service<Req>,
    C: Classify<Req, S::Response, S::Error>,
    M: Answer<Req, C::Response, S::Error>,
{
    type Response = M::Response;
    type Error = M::Error;
    type Future = ResponseFuture<S, Req, C, M>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), M::Error>> {
        self.skipped = match (self.layer.parts.circuits.one(), self.layer.readiness) {
            // what hangs may never be ready again: who has to be refused is not kept waiting for it
            (Some(circuit), Readiness::Reject) => circuit.would_refuse(),
            (Some(circuit), Readiness::Pend) => {
                ready!(circuit.poll_room(&mut self.place, cx));
                false
            }
            (None, _) => false,
        };
        if self.skipped {
            return Poll::Ready(Ok(()));
        }
        self.asked = true;
        self.inner.poll_ready(cx).map_err(M::fail)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let Parts { circuits, classify } = &*self.layer.parts;
        let keyed = circuits.of(|| classify.origin(&request));
        let circuit = circuits.chosen(keyed.as_ref());
        let leave =
            if self.skipped { Err(circuit.refuse()) } else { circuit.flows().map_or_else(|| circuit.ask(), Ok) };
        // the permit first: else the next one would be woken for it
        self.place.leave();
        match leave {
            Err(refused) => {
                if let (true, Some(release)) = (mem::take(&mut self.asked), self.release) {
                    // a place that the inner service holds for this call is not used; a clone holds none
                    self.inner = release(&self.inner);
                }
                ResponseFuture::refused(M::answer(&M::see(&request), Cause::Refused(refused)))
            }
            Ok(leave) => {
                self.asked = false;
                // made before the call: a panic in it is a failure
                let asked = Asked::new(classify.asked(&request));
                let call = Call::new(self.layer.parts.clone(), keyed, leave, asked);
                let repeatable = classify.repeatable(&request);
                ResponseFuture::calling(self.inner.call(request), call, repeatable, self.layer.until_head)
            }
        }
    }
}

impl<S: Clone, C, M> Clone for CircuitBreaker<S, C, M> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
            skipped: false,
            asked: false,
            release: self.release,
            place: Place::default(),
        }
    }
}

impl<S: fmt::Debug, C, M> fmt::Debug for CircuitBreaker<S, C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker").field("inner", &self.inner).field("layer", &self.layer).finish_non_exhaustive()
    }
}

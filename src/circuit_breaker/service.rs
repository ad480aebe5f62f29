use super::{Circuit, CircuitBreakerLayer, Readiness, ResponseFuture, waiting::Place};
use crate::{
    answer::{Answer, Cause, Fail},
    classify::{Classify, Http, Recorder},
};
use std::{
    fmt,
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
        let one = self.layer.circuits.one();
        if let (Readiness::Pend, Some(circuit)) = (self.layer.readiness, one) {
            ready!(circuit.poll_room(&mut self.place, cx));
            return self.inner.poll_ready(cx).map_err(M::fail);
        }
        // what hangs may never be ready again: who has to be refused is not kept waiting for it
        self.skipped = one.is_some_and(Circuit::would_refuse);
        if self.skipped { Poll::Ready(Ok(())) } else { self.inner.poll_ready(cx).map_err(M::fail) }
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let classify = &self.layer.classify;
        let circuit = self.layer.circuits.get(classify.authority(&request));
        let admitted = if self.skipped { Err(circuit.refuse()) } else { circuit.admit() };
        // the permit first: else the next one would be woken for it
        self.place.leave();
        match admitted {
            Err(refused) => ResponseFuture::refused(M::answer(&M::see(&request), Cause::Refused(refused))),
            Ok(ticket) => {
                // made before the call: a panic in it is a failure
                let recorder = Recorder::new(circuit.into_recorder(), ticket);
                let repeatable = classify.repeatable(&request);
                let call = self.inner.call(request);
                ResponseFuture::calling(call, recorder, classify.clone(), repeatable, self.layer.until_head)
            }
        }
    }
}

impl<S: Clone, C, M> Clone for CircuitBreaker<S, C, M> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone(), skipped: false, place: Place::default() }
    }
}

impl<S: fmt::Debug, C, M> fmt::Debug for CircuitBreaker<S, C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker").field("inner", &self.inner).field("layer", &self.layer).finish_non_exhaustive()
    }
}

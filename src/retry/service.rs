use super::{HeadOnly, HttpReplay, Policy, Replay, ResponseFuture, Settle, StandardPolicy, Stop, course::Course};
use super::{future::Again, shared::Shared};
use crate::{
    attempt::Attempt,
    classify::{Classify, Http},
};
use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};
use tower_service::Service;

/// What [`RetryLayer`](super::RetryLayer) makes; see the [module docs](crate::retry).
pub struct Retry<S, P = StandardPolicy, C = Http, R = HttpReplay, T = HeadOnly> {
    inner: S,
    shared: Arc<Shared<P, C, R>>,
    settle: T,
}

impl<S, P, C, R, T> Retry<S, P, C, R, T> {
    pub(super) fn new(inner: S, shared: Arc<Shared<P, C, R>>, settle: T) -> Self {
        Self { inner, shared, settle }
    }
}

impl<S, P, C, R, T, Req> Service<Req> for Retry<S, P, C, R, T>
where
    S: Service<Req> + Clone,
    P: Policy,
    C: Classify<Req, S::Response, S::Error>,
    R: Replay<Req>,
    T: Settle<S::Response> + Clone,
{
    type Response = T::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req, P, C, R, T>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let shared = self.shared.clone();
        let (strategies, settings) = (&*shared.strategies, &shared.settings);
        let outer = Attempt::current().unwrap_or_default();
        let max_retries = strategies.replay.max_retries(&request);
        let only = if outer.number() > 0 {
            Some(Stop::Nested)
        } else if strategies.replay.forbids(&request) {
            Some(Stop::Forbidden)
        } else if max_retries.unwrap_or_else(|| strategies.policy.max_retries()) == 0 {
            Some(Stop::Exhausted)
        } else {
            None
        };
        let repeatable = strategies.classify.repeatable(&request);
        let budgets = &settings.listed.budgets;
        let keyed = if budgets.is_keyed() { budgets.of(strategies.classify.authority(&request)) } else { None };
        let (mut request, handle) =
            if only.is_some() { (request, None) } else { strategies.replay.tee(request, &settings.caps) };
        // Below a retry layer its number stays: that is how the next one down knows. And a layer that is switched off
        // switches none off below it.
        let attempt = match only {
            Some(Stop::Nested | Stop::Exhausted) => outer,
            _ => outer.with_number(1),
        };
        Attempt::tell(attempt.number());
        strategies.replay.prepare(&mut request, attempt);
        let (call, again) = match handle {
            // the instance that was made ready is the one that is called, now and for every repeat; a clone is not ready
            Some(handle) => {
                let clone = self.inner.clone();
                let mut inner = mem::replace(&mut self.inner, clone);
                let call = attempt.run(|| inner.call(request));
                (call, Some(Again { inner, handle }))
            }
            None => (attempt.run(|| self.inner.call(request)), None),
        };
        let course = Course::new(attempt, repeatable, only).with_max_retries(max_retries);
        ResponseFuture::new(call, again, shared, keyed, self.settle.clone(), course)
    }
}

impl<S: Clone, P, C, R, T: Clone> Clone for Retry<S, P, C, R, T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: self.shared.clone(), settle: self.settle.clone() }
    }
}

impl<S: fmt::Debug, P, C, R, T: fmt::Debug> fmt::Debug for Retry<S, P, C, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("inner", &self.inner)
            .field("settings", &self.shared.settings)
            .field("settle", &self.settle)
            .finish_non_exhaustive()
    }
}

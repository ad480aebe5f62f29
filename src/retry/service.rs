use super::{
    Budget, HeadOnly, HttpReplay, Policy, Replay, ResponseFuture, Settle, StandardPolicy, Stop, course::Course,
};
use super::{future::Again, shared::Shared};
use crate::{
    attempt::{Attempt, deadline_after},
    classify::{Classify, ConnectionCapture, Http, Repeatable},
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

    /// Sets how many attempts may follow the first one in calls of this service and its clones, in place of the policy's number.
    #[cfg(all(feature = "circuit-breaker", feature = "idempotency"))]
    pub(crate) fn set_max_retries(&mut self, retries: u32) {
        Arc::make_mut(&mut self.shared).settings.max_retries = Some(retries);
    }
}

impl<S, P, C, R, T, Req> Service<Req> for Retry<S, P, C, R, T>
where
    S: Service<Req, Error: 'static> + Clone,
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

    fn call(&mut self, mut request: Req) -> Self::Future {
        let repeatable = self.shared.strategies.classify.repeatable(&request);
        let keyed = self.keyed::<Req>(&request);
        let outer = self.with_deadline_of(&request, Attempt::current_or_default());
        let max_retries = self.shared.strategies.replay.max_retries(&request).or(self.shared.settings.max_retries);
        if let Some(only) = self.only(outer, max_retries, &request) {
            // Below a retry layer its number stays: that is how the next one down knows. And a layer that is switched off
            // switches none off below it.
            let attempt = if only == Stop::Forbidden { outer.with_number(1) } else { outer };
            let capture = self.capture(&mut request, repeatable);
            let course =
                Course::new(attempt, repeatable, Some(only)).with_max_retries(max_retries).with_capture(capture);
            return self.once(request, keyed, course);
        }
        let capture = self.capture(&mut request, repeatable);
        let (mut request, handle) = self.shared.strategies.replay.tee(request, &self.shared.settings.caps);
        let mut course =
            Course::new(outer.with_number(1), repeatable, None).with_max_retries(max_retries).with_capture(capture);
        let Some(handle) = handle else { return self.once(request, keyed, course) };
        // the instance that was made ready is the one that is called, now and for every repeat; a clone is not ready
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        self.shared.strategies.replay.prepare(&mut request, course.attempt);
        let call = course.begin(|| inner.call(request));
        let again = Some(Again { inner, handle });
        ResponseFuture::new(call, again, self.shared.clone(), keyed, self.settle.clone(), course)
    }
}

impl<S, P: Policy, C, R, T> Retry<S, P, C, R, T> {
    /// Why there is only one attempt, if so.
    #[inline]
    fn only<Req>(&self, outer: Attempt, max_retries: Option<u32>, request: &Req) -> Option<Stop>
    where
        R: Replay<Req>,
    {
        if outer.number() > 0 {
            Some(Stop::Nested)
        } else if self.shared.strategies.replay.forbids(request) {
            Some(Stop::Forbidden)
        } else if max_retries.unwrap_or_else(|| self.shared.strategies.policy.max_retries()) == 0 {
            Some(Stop::Exhausted)
        } else {
            None
        }
    }

    /// Whether the client below has a connection for the request: asked where a repeat of the request needs a proof.
    #[inline]
    fn capture<Req>(&self, request: &mut Req, repeatable: Repeatable) -> ConnectionCapture
    where
        R: Replay<Req>,
    {
        match repeatable {
            Repeatable::Yes => ConnectionCapture::unknown(),
            _ => self.shared.strategies.replay.capture(request, repeatable),
        }
    }

    /// The deadline that the request itself sets, if that is sooner.
    #[inline]
    fn with_deadline_of<Req>(&self, request: &Req, outer: Attempt) -> Attempt
    where
        R: Replay<Req>,
    {
        match self.shared.strategies.replay.call_timeout(request) {
            Some(after) => outer.with_sooner_deadline(deadline_after(after)),
            None => outer,
        }
    }

    /// The budget of the request's origin, where each has one.
    #[inline]
    fn keyed<Req>(&self, request: &Req) -> Option<Budget>
    where
        S: Service<Req>,
        C: Classify<Req, S::Response, S::Error>,
    {
        let budgets = &self.shared.settings.listed.budgets;
        if budgets.is_keyed() { budgets.of(self.shared.strategies.classify.origin(request)) } else { None }
    }

    /// The call without a repeat: the inner service stays here.
    // Apart from the other: with it, this would cost every call that can be repeated a few instructions.
    #[inline(never)]
    fn once<Req>(
        &mut self,
        mut request: Req,
        keyed: Option<Budget>,
        mut course: Course,
    ) -> ResponseFuture<S, Req, P, C, R, T>
    where
        S: Service<Req>,
        R: Replay<Req>,
        T: Settle<S::Response> + Clone,
    {
        self.shared.strategies.replay.prepare(&mut request, course.attempt);
        let call = course.begin(|| self.inner.call(request));
        ResponseFuture::new(call, None, self.shared.clone(), keyed, self.settle.clone(), course)
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

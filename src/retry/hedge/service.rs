use super::{
    ResponseFuture,
    future::{Again, Call},
    nested,
    shared::Shared,
};
use crate::{
    attempt::Attempt,
    classify::{Classify, Http, Repeatable},
    retry::{HttpReplay, Replay},
};
use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};
use tower_service::Service;

/// What [`HedgeLayer`](super::HedgeLayer) makes; see the [module docs](crate::retry::hedge).
pub struct Hedge<S, C = Http, R = HttpReplay> {
    inner: S,
    shared: Arc<Shared<C, R>>,
}

impl<S, C, R> Hedge<S, C, R> {
    pub(super) fn new(inner: S, shared: Arc<Shared<C, R>>) -> Self {
        Self { inner, shared }
    }
}

impl<S, C, R, Req> Service<Req> for Hedge<S, C, R>
where
    S: Service<Req> + Clone,
    C: Classify<Req, S::Response, S::Error>,
    R: Replay<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req, C, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let shared = self.shared.clone();
        let Shared { classify, replay, settings } = &*shared;
        let outer = Attempt::current().unwrap_or_default();
        let repeatable = classify.repeatable(&request);
        let budgets = &settings.listed.budgets;
        let keyed = if budgets.is_keyed() { budgets.of(classify.origin(&request)) } else { None };
        // A keyed one is not: while the first is at work, the server answers the second with a 409. Nor one that a layer above
        // hedges: two layers would make four calls of it.
        let hedges = repeatable == Repeatable::Yes && !replay.forbids(&request) && !nested::is_nested();
        let (mut request, handle) = if hedges { replay.tee(request, &settings.caps) } else { (request, None) };
        let first = outer.with_number(outer.number().max(1));
        replay.prepare(&mut request, first);
        let (call, again) = match handle {
            // the instance that was made ready is the one that is called, now and for the second attempt
            Some(handle) => {
                let clone = self.inner.clone();
                let mut inner = mem::replace(&mut self.inner, clone);
                let call = nested::run(|| inner.call(request));
                (call, Some(Again { inner, handle }))
            }
            None => (self.inner.call(request), None),
        };
        // After the call: below, the number stays what it was. A hedge repeats no failure, so it keeps nobody from doing so.
        Attempt::tell(first.number());

        ResponseFuture::new(call, again, shared, Call { outer, repeatable, keyed })
    }
}

impl<S: Clone, C, R> Clone for Hedge<S, C, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: self.shared.clone() }
    }
}

impl<S: fmt::Debug, C, R> fmt::Debug for Hedge<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge")
            .field("inner", &self.inner)
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

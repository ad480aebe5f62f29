use super::Replay;
use crate::{
    attempt::Attempt,
    body::Caps,
    classify::{ConnectionCapture, Repeatable},
};
use std::{fmt, time::Duration};

/// A [`Replay`] and what is done to the request right before each attempt, the first one included; see
/// [`RetryLayer::with_prepare`](super::RetryLayer::with_prepare).
#[derive(Clone)]
pub struct Prepared<R, F> {
    inner: R,
    prepare: F,
}

impl<R, F> Prepared<R, F> {
    /// `prepare` is called with every request that `inner` lets out, and the attempt that it is for.
    pub const fn new<Req>(inner: R, prepare: F) -> Self
    where
        F: Fn(&mut Req, Attempt),
    {
        Self { inner, prepare }
    }
}

impl<Req, R, F> Replay<Req> for Prepared<R, F>
where
    R: Replay<Req>,
    F: Fn(&mut Req, Attempt) + Send + Sync + 'static,
{
    type Handle = R::Handle;

    fn tee(&self, request: Req, caps: &Caps) -> (Req, Option<R::Handle>) {
        self.inner.tee(request, caps)
    }

    fn again(&self, handle: &mut R::Handle, last: bool) -> Option<Req> {
        self.inner.again(handle, last)
    }

    fn capture(&self, request: &mut Req, repeatable: Repeatable) -> ConnectionCapture {
        self.inner.capture(request, repeatable)
    }

    fn call_timeout(&self, request: &Req) -> Option<Duration> {
        self.inner.call_timeout(request)
    }

    fn is_complete(&self, handle: &R::Handle) -> bool {
        self.inner.is_complete(handle)
    }

    fn mark(&self, request: &mut Req, attempt: Attempt) {
        self.inner.mark(request, attempt);
    }

    fn prepare(&self, request: &mut Req, attempt: Attempt) {
        self.inner.prepare(request, attempt);
        (self.prepare)(request, attempt);
    }

    fn forbids(&self, request: &Req) -> bool {
        self.inner.forbids(request)
    }

    fn max_retries(&self, request: &Req) -> Option<u32> {
        self.inner.max_retries(request)
    }
}

impl<R: fmt::Debug, F> fmt::Debug for Prepared<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("inner", &self.inner).finish_non_exhaustive()
    }
}

use super::Replay;
use crate::{
    attempt::Attempt,
    body::Caps,
    classify::{ConnectionCapture, Repeatable},
};
use http::Request;
use std::{fmt, time::Duration};

/// In the extensions of an `http::Request`: how many attempts may follow the first in this call, in place of the policy's number.
///
/// More than that number as well as less: the budget and the deadline still hold. A policy of your own has to ask
/// [`Finished::max_retries`](super::Finished::max_retries) to go beyond its own number.
///
/// ```
/// use steadfast::retry::MaxRetries;
///
/// let request = MaxRetries(5).on(http::Request::get("https://example.com/report").body(())?);
/// # let _ = request;
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxRetries(
    /// Attempts after the first; 0: one attempt.
    pub u32,
);

impl MaxRetries {
    /// The same request, with this number.
    #[must_use]
    pub fn on<B>(self, mut request: Request<B>) -> Request<B> {
        request.extensions_mut().insert(self);
        request
    }
}

/// A [`Replay`] and a closure that knows the number of retries of a call; see
/// [`RetryLayer::max_retries_of`](super::RetryLayer::max_retries_of).
#[derive(Clone)]
pub struct Limited<R, F> {
    inner: R,
    find: F,
}

impl<R, F> Limited<R, F> {
    /// `find` goes before what `inner` finds.
    pub const fn new<Req>(inner: R, find: F) -> Self
    where
        F: Fn(&Req) -> Option<u32>,
    {
        Self { inner, find }
    }
}

impl<Req, R, F> Replay<Req> for Limited<R, F>
where
    R: Replay<Req>,
    F: Fn(&Req) -> Option<u32> + Send + Sync + 'static,
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
    }

    fn forbids(&self, request: &Req) -> bool {
        self.inner.forbids(request)
    }

    fn max_retries(&self, request: &Req) -> Option<u32> {
        (self.find)(request).or_else(|| self.inner.max_retries(request))
    }
}

impl<R: fmt::Debug, F> fmt::Debug for Limited<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limited").field("inner", &self.inner).finish_non_exhaustive()
    }
}

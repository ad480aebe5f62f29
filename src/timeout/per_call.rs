use super::grpc_timeout;
use http::{Method, Request};
use std::{fmt, time::Duration};

/// Where the time for one call comes from. A strategy: [`Fixed`], [`InRequest`], or [`Asked`] with a closure.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not find the time for a call in a `{Req}`",
    note = "`.per_call()` reads http::Request and, with the feature `reqwest`, reqwest::Request; for any other request: `.per_call_of(|request: &YourRequest| ..)`"
)]
pub trait PerCall<Req> {
    /// Returns the time for this call, in place of the layer's. `None`: that of the layer.
    fn time_for(&self, request: &Req) -> Option<Duration>;

    /// Returns a time that shortens the call and never lengthens it. Default: `None`.
    fn at_most(&self, request: &Req) -> Option<Duration> {
        let _ = request;
        None
    }
}

/// That of the layer, for every call: the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fixed;

impl<Req> PerCall<Req> for Fixed {
    #[inline]
    fn time_for(&self, _: &Req) -> Option<Duration> {
        None
    }
}

/// The time that the request carries.
///
/// Of an `http::Request`: the [`CallTimeout`] in its extensions. The `grpc-timeout` of a gRPC request (gRPC over HTTP/2: at most
/// eight digits and one of `H M S m u n`) shortens the call, but never lengthens it. Of reqwest's request, with the feature
/// `reqwest`: its own `timeout()`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InRequest;

impl<B> PerCall<Request<B>> for InRequest {
    #[inline]
    fn time_for(&self, request: &Request<B>) -> Option<Duration> {
        request.extensions().get().map(|CallTimeout(after)| *after)
    }

    #[inline]
    fn at_most(&self, request: &Request<B>) -> Option<Duration> {
        // gRPC is POST: other requests are spared the look at their headers
        if request.method() == Method::POST { grpc_timeout::parse(request.headers()) } else { None }
    }
}

/// What a closure says.
#[derive(Clone, Copy)]
pub struct Asked<F>(pub(super) F);

impl<Req, F: Fn(&Req) -> Option<Duration>> PerCall<Req> for Asked<F> {
    fn time_for(&self, request: &Req) -> Option<Duration> {
        (self.0)(request)
    }
}

impl<F> fmt::Debug for Asked<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}

/// In the extensions of an `http::Request`: the time for this call, in place of that of a layer with
/// [`per_call`](super::TimeoutLayer::per_call). A deadline from further out still holds.
///
/// ```
/// use std::time::Duration;
/// use steadfast::timeout::CallTimeout;
///
/// let report = http::Request::get("https://example.com/report").body(())?;
/// let report = CallTimeout(Duration::from_secs(120)).on(report);
/// # let _ = report;
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallTimeout(
    /// From the moment at which the layer is called.
    pub Duration,
);

impl CallTimeout {
    /// The same request, with this time.
    #[must_use]
    pub fn on<B>(self, mut request: Request<B>) -> Request<B> {
        request.extensions_mut().insert(self);
        request
    }
}

use super::{MaxRetries, NoRetry, Replay};
use crate::{
    attempt::Attempt,
    body::{Caps, FromReplay, ReplayHandle, tee},
    classify::{ConnectionCapture, GrpcFormat, Repeatable},
    timeout::grpc_timeout,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, request::Parts};
use std::{fmt, time::Duration};

/// gRPC proposal A6: the attempts before this one.
const PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// A `grpc-timeout` is not written anew for less than this: it has just been read.
const GRPC_TIMEOUT_STEP: Duration = Duration::from_millis(1);

/// Repeats `http::Request<B>` with a `B:` [`FromReplay`] and, with the feature `reqwest`, reqwest's own request.
///
/// The head is cloned. A body that is in memory is cloned by reference; of one that streams, what passes is kept up to the
/// [`Caps`].
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpReplay;

/// A head and a body to be sent again.
pub struct HttpHandle<B> {
    head: Option<Parts>,
    body: BodyCopy<B>,
}

/// A body to be sent again.
pub(crate) enum BodyCopy<B> {
    Empty,
    /// `None` once the last one was made.
    Whole(Option<B>),
    Kept(ReplayHandle<B>),
}

// Head and body are the caller's and may be secret: states and lengths only.
impl<B> fmt::Debug for HttpHandle<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpHandle").field("head", &self.head.is_some()).field("body", &self.body).finish()
    }
}

impl<B> fmt::Debug for BodyCopy<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Whole(copy) => f.debug_tuple("Whole").field(&copy.is_some()).finish(),
            Self::Kept(handle) => f.debug_tuple("Kept").field(handle).finish(),
        }
    }
}

impl<B: FromReplay> BodyCopy<B> {
    pub(crate) fn tee(body: B, caps: &Caps) -> (B, Self) {
        if body.is_end_stream() {
            return (body, Self::Empty);
        }
        if let Some(copy) = body.try_clone() {
            return (body, Self::Whole(Some(copy)));
        }
        let (live, handle) = tee(body, caps, B::can_abort());
        (B::from_replay(live), Self::Kept(handle))
    }

    pub(crate) fn again(&mut self, last: bool) -> Option<B> {
        match self {
            Self::Empty => Some(B::from_whole(Bytes::new(), None)),
            Self::Whole(copy) if last => copy.take(),
            Self::Whole(copy) => copy.as_ref()?.try_clone(),
            Self::Kept(handle) => handle.again().map(B::from_replay),
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        match self {
            Self::Empty | Self::Whole(_) => true,
            Self::Kept(handle) => handle.is_complete(),
        }
    }
}

impl<B: FromReplay> Replay<Request<B>> for HttpReplay {
    type Handle = HttpHandle<B>;

    fn tee(&self, request: Request<B>, caps: &Caps) -> (Request<B>, Option<HttpHandle<B>>) {
        let (head, body) = request.into_parts();
        let (live, body) = BodyCopy::tee(body, caps);
        let handle = HttpHandle { head: Some(head.clone()), body };
        (Request::from_parts(head, live), Some(handle))
    }

    fn again(&self, handle: &mut HttpHandle<B>, last: bool) -> Option<Request<B>> {
        let body = handle.body.again(last)?;
        let head = if last { handle.head.take() } else { handle.head.clone() };
        Some(Request::from_parts(head?, body))
    }

    fn is_complete(&self, handle: &HttpHandle<B>) -> bool {
        handle.body.is_complete()
    }

    fn mark(&self, request: &mut Request<B>, attempt: Attempt) {
        request.extensions_mut().insert(attempt);
        if is_grpc(request) {
            let before = HeaderValue::from(attempt.number().saturating_sub(1));
            request.headers_mut().insert(PREVIOUS_ATTEMPTS, before);
        }
    }

    fn prepare(&self, request: &mut Request<B>, attempt: Attempt) {
        // the header is looked for before the clock is read, and neither where there is no deadline
        if attempt.deadline().is_some()
            && let Some(own) = Replay::call_timeout(self, request)
            && let Some(left) = attempt.remaining()
            && left < own.saturating_sub(GRPC_TIMEOUT_STEP)
        {
            request.headers_mut().insert(grpc_timeout::GRPC_TIMEOUT, grpc_timeout::format(left));
        }
    }

    fn capture(&self, request: &mut Request<B>, repeatable: Repeatable) -> ConnectionCapture {
        // a keyed request is repeated with and without proof, which then only decides how a failure comes out
        if repeatable == Repeatable::Keyed && !cfg!(feature = "hyper") {
            return ConnectionCapture::unknown();
        }
        // gRPC knows no redirects
        if is_grpc(request) { ConnectionCapture::only_hop() } else { ConnectionCapture::of(request) }
    }

    fn call_timeout(&self, request: &Request<B>) -> Option<Duration> {
        // every gRPC call is a POST, and most other calls are none
        if *request.method() == Method::POST { grpc_timeout::parse(request.headers()) } else { None }
    }

    fn forbids(&self, request: &Request<B>) -> bool {
        request.extensions().get::<NoRetry>().is_some()
    }

    fn max_retries(&self, request: &Request<B>) -> Option<u32> {
        request.extensions().get().map(|MaxRetries(most)| *most)
    }
}

/// Whether a request is gRPC over HTTP/2, which gRPC-Web is not.
fn is_grpc<B>(request: &Request<B>) -> bool {
    GrpcFormat::of(request.headers()) == Some(GrpcFormat::Grpc)
}

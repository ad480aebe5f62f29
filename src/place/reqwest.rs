//! reqwest's own request, response and body.

#[cfg(feature = "queue")]
mod deliver;
#[cfg(feature = "idempotency")]
mod key;
#[cfg(feature = "retry")]
mod retry;

#[cfg(feature = "queue")]
pub use deliver::ToReqwest;
#[cfg(feature = "retry")]
pub use retry::ReqwestHandle;

use crate::{
    body::{FromReplay, ReplayBody, ReplayError, Watch},
    classify::{Classify, Evidence, Http, Origin, Outcome, Recorder, Repeatable, Verdict},
    timeout::{InRequest, PerCall},
};
use http_body_util::BodyExt;
use reqwest::{Body, Request, Response, ResponseBuilderExt};
use std::time::Duration;

impl FromReplay for Body {
    fn from_replay(body: ReplayBody<Self>) -> Self {
        Self::wrap(body.map_err(ReplayError::into_box))
    }

    fn from_whole(data: bytes::Bytes, trailers: Option<http::HeaderMap>) -> Self {
        match trailers {
            None => Self::from(data),
            trailers => Self::from_replay(ReplayBody::whole(data, trailers)),
        }
    }
}

/// The host in the URL of a response that was made from an `http::Response`: it came from no client.
const NOWHERE: &str = "no.url.provided.local";

fn of_url(url: &reqwest::Url) -> Option<Origin<'_>> {
    url.host_str().filter(|host| !host.is_empty()).map(|host| Origin::new(url.scheme(), host, url.port()))
}

/// Its own timeout is the deadline of the call, which all attempts share. (reqwest also applies it to each attempt, with the body
/// of the response.)
impl PerCall<Request> for InRequest {
    fn time_for(&self, request: &Request) -> Option<Duration> {
        request.timeout().copied()
    }
}

impl<E: 'static> Classify<Request, Response, E> for Http {
    type Response = Response;

    fn origin<'a>(&self, request: &'a Request) -> Option<Origin<'a>> {
        of_url(request.url())
    }

    fn asked<'a>(&self, request: &'a Request) -> Option<Origin<'a>> {
        of_url(request.url())
    }

    fn answered_by<'a>(&self, response: &'a Response) -> Option<Origin<'a>> {
        of_url(response.url()).filter(|_| response.url().host_str() != Some(NOWHERE))
    }

    fn repeatable(&self, request: &Request) -> Repeatable {
        self.judge_request(request.method(), request.url().path(), request.headers())
    }

    fn head(&self, response: &Response, repeatable: Repeatable) -> Verdict {
        self.judge_head(response.status(), response.headers(), response.extensions(), repeatable)
    }

    fn error(&self, error: &E, evidence: Evidence) -> Verdict {
        self.judge_error(error, evidence)
    }

    fn status(&self, response: &Response) -> Option<http::StatusCode> {
        Some(response.status())
    }

    fn headers<'a>(&self, response: &'a Response) -> Option<&'a http::HeaderMap> {
        Some(response.headers())
    }

    fn extensions_mut<'a>(&self, response: &'a mut Response) -> Option<&'a mut http::Extensions> {
        Some(response.extensions_mut())
    }

    fn ends_at_head(&self, _: &Response, head: Verdict) -> bool {
        head.outcome() != Outcome::Success
    }

    fn watch(&self, mut response: Response, head: Verdict, recorder: Recorder) -> Response {
        // a body that nothing is recorded of stays as it is, and is not boxed again
        if recorder.is_nobody() {
            return response;
        }
        let headers = std::mem::take(response.headers_mut());
        let mut response = map_body(response, |body| Body::wrap(Watch::new(body, &headers, head, recorder)));
        *response.headers_mut() = headers;
        response
    }
}

/// The same response with another body: URL, version, headers, extensions, length and remote address stay.
///
/// It goes through `http::Response` and back; the URL is the one thing that is lost on the way, so it is carried over.
pub fn map_body(response: Response, f: impl FnOnce(Body) -> Body) -> Response {
    let url = response.url().clone();
    let (parts, body) = http::Response::<Body>::from(response).into_parts();
    // given no part that could be wrong, the builder cannot fail
    let mut carrier = http::Response::builder().url(url).body(()).unwrap_or_default();
    let mut mapped = http::Response::from_parts(parts, f(body));
    mapped.extensions_mut().extend(std::mem::take(carrier.extensions_mut()));
    mapped.into()
}

use super::{MakeRequest, Message};
use crate::{body::FromReplay, error::BoxError};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};
use std::{fmt, marker::PhantomData};

/// What goes from a message's headers into a request: what the body is, and whose trace it belongs to.
const PASSED: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// POST to one URI, as an `http::Request<B>`: the message's body, its content type, its trace, and an `Idempotency-Key` that
/// is the same in every attempt.
pub struct ToHttp<B> {
    uri: Uri,
    headers: HeaderMap,
    body: PhantomData<fn() -> B>,
}

impl<B> ToHttp<B> {
    /// To `uri`.
    pub fn new(uri: Uri) -> Self {
        Self { uri, headers: HeaderMap::new(), body: PhantomData }
    }

    /// With this header on every request (credentials of this side; the message's own are never stored). It goes before one
    /// of the message's.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl<B: FromReplay> MakeRequest for ToHttp<B> {
    type Request = Request<B>;

    fn make(&self, message: &Message) -> Result<Request<B>, BoxError> {
        let mut request = Request::new(B::from_whole(message.body().clone(), None));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers(message, &self.headers)?;
        Ok(request)
    }
}

/// The headers of a delivery.
pub(crate) fn headers(message: &Message, own: &HeaderMap) -> Result<HeaderMap, BoxError> {
    let mut headers = HeaderMap::new();
    for name in &PASSED {
        for value in message.headers().get_all(name) {
            headers.append(name, value.clone());
        }
    }
    headers.insert("idempotency-key", HeaderValue::try_from(message.idempotency_key())?);
    for (name, value) in own {
        headers.insert(name, value.clone());
    }
    Ok(headers)
}

impl<B> Clone for ToHttp<B> {
    fn clone(&self) -> Self {
        Self { uri: self.uri.clone(), headers: self.headers.clone(), body: PhantomData }
    }
}

// Without the headers: they may be secret.
impl<B> fmt::Debug for ToHttp<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToHttp").field("uri", &self.uri).finish_non_exhaustive()
    }
}

use crate::{
    error::BoxError,
    queue::{MakeRequest, Message, ReadAnswer, Report, headers},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::{Body, Request, Response, Url};
use std::fmt;

/// POST to one URL, as a `reqwest::Request`: the same as [`ToHttp`](crate::queue::ToHttp).
#[derive(Clone)]
pub struct ToReqwest {
    url: Url,
    headers: HeaderMap,
}

impl ToReqwest {
    /// To `url`.
    pub fn new(url: Url) -> Self {
        Self { url, headers: HeaderMap::new() }
    }

    /// With this header on every request (credentials of this side). It goes before one of the message's.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl MakeRequest for ToReqwest {
    type Request = Request;

    fn make(&self, message: &Message) -> Result<Request, BoxError> {
        let mut request = Request::new(Method::POST, self.url.clone());
        *request.headers_mut() = headers(message, &self.headers)?;
        *request.body_mut() = Some(Body::from(message.body().clone()));
        Ok(request)
    }
}

impl ReadAnswer for Response {
    async fn read(self) -> Report {
        http::Response::<Body>::from(self).read().await
    }
}

// Without the headers: they may be secret.
impl fmt::Debug for ToReqwest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToReqwest").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

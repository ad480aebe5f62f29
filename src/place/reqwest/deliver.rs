use super::NOWHERE;
use crate::{
    error::BoxError,
    queue::{MakeRequest, Message, ReadAnswer, Report, headers},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::{Body, Request, Response, Url};
use std::{any::Any, fmt};

/// POST to one URL, as a `reqwest::Request`: the same as [`ToHttp`](crate::queue::ToHttp).
///
/// Build the client with `redirect::Policy::none()`: one that follows redirects hands the body to whatever address the
/// destination names. A message whose response comes from another address is dead as `rejected` all the same, since nothing
/// shows that the destination has taken it.
///
/// ```
/// use reqwest::{Client, redirect::Policy};
/// use steadfast::{place::reqwest::ToReqwest, queue::Deliver, stack::ClientStack};
/// use tower::Layer;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let client = Client::builder().redirect(Policy::none()).build()?;
/// let deliver = Deliver::new(client, ToReqwest::new("https://crm.example.com/orders".parse()?));
/// # Ok(()) }
/// ```
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
    fn asked(request: &dyn Any) -> Option<String> {
        request.downcast_ref::<Request>().map(|request| without_fragment(request.url()).to_owned())
    }

    fn redirected(&self, asked: &str) -> Option<String> {
        // one that a layer rebuilt from its parts has lost its address, and is judged as it is
        let elsewhere = without_fragment(self.url()) != asked && self.url().host_str() != Some(NOWHERE);
        // without path and query, which may be secret
        elsewhere.then(|| self.url().origin().ascii_serialization())
    }

    async fn read(self) -> Report {
        http::Response::<Body>::from(self).read().await
    }
}

/// The client sends no fragment, and a redirect back to the same address may bring one.
fn without_fragment(url: &Url) -> &str {
    let whole = url.as_str();
    whole.split_once('#').map_or(whole, |(address, _)| address)
}

// Without the headers: they may be secret.
impl fmt::Debug for ToReqwest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToReqwest").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

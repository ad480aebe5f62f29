use super::gave_up;
use crate::{
    backoff::Hint,
    classify::{Http, Outcome, Repeatable, Verdict},
};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tower_layer::Layer;
use tower_service::Service;

const FALSE: HeaderValue = HeaderValue::from_static("false");

/// For a server that calls others: its failing answers say `x-should-retry: false` when a [`RetryLayer`](super::RetryLayer)
/// below has already repeated what failed; see the [module docs](crate::retry#across-tiers).
///
/// ```
/// use http::{Request, Response, StatusCode};
/// use steadfast::retry::{MarkerLayer, RetryLayer};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use http_body_util::Full;
/// let dead = service_fn(|_: Request<Full<bytes::Bytes>>| async { Err::<Response<String>, _>("reset") });
/// # let policy = steadfast::retry::StandardPolicy::new().with_faults();
/// # let retry = RetryLayer::with(policy, steadfast::classify::ByResult, steadfast::retry::HttpReplay);
/// let client = ServiceBuilder::new().layer(retry).service(dead);
/// let server = ServiceBuilder::new().layer(MarkerLayer::new()).service_fn(|request| async {
///     // a handler that makes an answer of its own
///     let answer = Response::builder();
///     match client.clone().oneshot(request).await {
///         Ok(_) => answer.body("done"),
///         Err(_) => answer.status(StatusCode::BAD_GATEWAY).body("sorry"),
///     }
/// });
/// let answer = server.oneshot(Request::new(Full::default())).await?;
/// assert_eq!(answer.headers()[MarkerLayer::HEADER], "false");
/// # Ok(()) }
/// ```
///
/// It learns it from layers whose calls are polled in the handler's own task: not across a spawn. A gRPC answer is marked
/// when its status is in the head, as it is when a call fails before its first message.
#[derive(Debug, Clone)]
pub struct MarkerLayer {
    header: HeaderName,
}

impl MarkerLayer {
    /// `x-should-retry`, in wide use with the values `true` and `false`. `true` is neither written nor heeded.
    pub const HEADER: HeaderName = HeaderName::from_static("x-should-retry");

    /// Marks with [`HEADER`](Self::HEADER).
    pub const fn new() -> Self {
        Self { header: Self::HEADER }
    }

    /// Marks with another header; the layers of the tier above have to be told with
    /// [`RetryLayer::with_marker`](super::RetryLayer::with_marker).
    #[must_use]
    pub fn with_header(mut self, header: HeaderName) -> Self {
        self.header = header;
        self
    }
}

impl Default for MarkerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for MarkerLayer {
    type Service = Marker<S>;

    fn layer(&self, inner: S) -> Marker<S> {
        Marker { inner, header: self.header.clone() }
    }
}

/// What [`MarkerLayer`] makes.
#[derive(Debug, Clone)]
pub struct Marker<S> {
    inner: S,
    header: HeaderName,
}

impl<S, Req, B> Service<Req> for Marker<S>
where
    S: Service<Req, Response = Response<B>>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = MarkerFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        MarkerFuture { call: self.inner.call(request), header: self.header.clone(), gave_up: false }
    }
}

pin_project! {
    /// The answer, marked if it has to be.
    pub struct MarkerFuture<F> {
        #[pin]
        call: F,
        header: HeaderName,
        gave_up: bool,
    }
}

impl<F> fmt::Debug for MarkerFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MarkerFuture").field("gave_up", &self.gave_up).finish_non_exhaustive()
    }
}

impl<F, B, E> Future for MarkerFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let call = this.call;
        let mut answer = ready!(gave_up::listen(this.gave_up, || call.poll(cx)))?;
        // a handler may have found another way
        if *this.gave_up && has_failed(&answer) {
            answer.headers_mut().entry(&*this.header).or_insert(FALSE);
        }
        Poll::Ready(Ok(answer))
    }
}

fn has_failed<B>(answer: &Response<B>) -> bool {
    let verdict = Http::new().judge_head(answer.status(), answer.headers(), answer.extensions(), Repeatable::No);
    matches!(verdict.outcome(), Outcome::Failure(_) | Outcome::Refused)
}

/// What an attempt came to, with the word of the other side: a failure that it marked is not to be repeated.
pub(super) fn heed(head: Verdict, marker: &HeaderName, headers: Option<&HeaderMap>) -> Verdict {
    let said = headers.and_then(|headers| headers.get(marker));
    let never = said.is_some_and(|said| said.as_bytes().eq_ignore_ascii_case(FALSE.as_bytes()));
    if never { head.with_hint(Some(Hint::Never)) } else { head }
}

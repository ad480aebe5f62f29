//! The service at the end of the stack: it answers as told, and remembers what it saw.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::RETRY_AFTER};
use http_body_util::{BodyExt, Full};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use steadfast::{
    attempt::Attempt,
    backoff::Exponential,
    error::BoxError,
    retry::{RetryLayer, StandardPolicy},
};
use tower::{Service, ServiceExt};

pub(crate) type Body = Full<Bytes>;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// What one call does.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    Answers(u16),
    /// 503, come again in so many seconds.
    Later(u64),
    Hangs,
}

/// What was seen of one call.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) attempt: Attempt,
    pub(crate) key: Option<HeaderValue>,
}

/// Clones are one service; always ready.
#[derive(Clone)]
pub(crate) struct OtherSide {
    /// The call (the first is 1), and what it does.
    step: Arc<dyn Fn(usize) -> Step + Send + Sync>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl OtherSide {
    pub(crate) fn new(step: impl Fn(usize) -> Step + Send + Sync + 'static) -> Self {
        Self { step: Arc::new(step), seen: Arc::default() }
    }

    pub(crate) fn always(step: Step) -> Self {
        Self::new(move |_| step)
    }

    pub(crate) fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub(crate) fn seen<T>(&self, look: impl FnMut(&Seen) -> T) -> Vec<T> {
        self.seen.lock().unwrap().iter().map(look).collect()
    }
}

impl Service<Request<Body>> for OtherSide {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let key = request.headers().get("idempotency-key").cloned();
        let seen = Seen { attempt: Attempt::current().unwrap_or_default(), key };
        let call = {
            let mut all = self.seen.lock().unwrap();
            all.push(seen);
            all.len()
        };
        let step = (self.step)(call);
        Box::pin(async move {
            let answer = |status: u16| Response::builder().status(status);
            let answer = match step {
                Step::Answers(status) => answer(status),
                Step::Later(seconds) => answer(503).header(RETRY_AFTER, seconds),
                Step::Hangs => std::future::pending().await,
            };
            Ok(answer.body(Body::default())?)
        })
    }
}

pub(crate) fn get() -> Request<Body> {
    Request::get("http://payments.example/charges/1").body(Body::default()).unwrap()
}

pub(crate) fn post() -> Request<Body> {
    Request::post("http://payments.example/charges").body(Body::from("5 EUR")).unwrap()
}

/// Two retries after a hundredth of a second at most, whatever the budget: what is tried here is the order.
pub(crate) fn retry() -> RetryLayer {
    let backoff = Exponential::new(Duration::from_millis(5), Duration::from_millis(10)).unwrap();
    RetryLayer::new(StandardPolicy::new().with_backoff(backoff)).without_budget()
}

/// Sends and reads the answer to its end: only then does a circuit know what it was.
pub(crate) async fn whole<S, B>(client: &S) -> Result<u16, BoxError>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Clone,
    B: http_body::Body<Error: Into<BoxError>>,
{
    let (head, body) = client.clone().oneshot(get()).await?.into_parts();
    body.collect().await.map_err(Into::into)?;
    Ok(head.status.as_u16())
}

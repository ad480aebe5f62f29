//! What a retry layer costs a call that succeeds at once.
use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use std::{
    convert::Infallible,
    future::Ready as Waits,
    hint::black_box,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use steadfast::retry::{Allowance, Budget, RetryLayer, StandardPolicy};
use steadfast_peers::{Answered, Ask, Case, Error, HttpRequest, Ready, drive, get, http};
use tower::{
    Layer,
    retry::{
        Policy,
        budget::{Budget as _, TpsBudget},
    },
};
use tower_service::Service;

const CASES: [Case; 18] = [
    ("bare", "bare", |n| drive(Ready, Ask, n)),
    ("steadfast", "bare", |n| drive(RetryLayer::by_result(policy()).without_budget().layer(Ready), Ask, n)),
    ("steadfast, budget that is full", "bare", |n| drive(RetryLayer::by_result(policy()).layer(Ready), Ask, n)),
    ("steadfast, budget that fills", "bare", |n| {
        let budget = Budget::new(Allowance::new().with_most(u32::MAX));
        drive(RetryLayer::by_result(policy()).with_budget(budget).layer(Ready), Ask, n);
    }),
    ("tower", "bare", |n| drive(tower::retry::RetryLayer::new(Thrice(2)).layer(Ready), Ask, n)),
    ("tower, budget", "bare", |n| drive(tower::retry::RetryLayer::new(Funded::new()).layer(Ready), Ask, n)),
    ("tower-resilience", "bare", |n| drive(resilience().layer(Ready), Ask, n)),
    ("get", "get", |n| drive(Ready, get(), n)),
    ("get, head cloned", "get", |n| drive(CloneHead(Ready), get(), n)),
    ("get, steadfast", "get", |n| drive(RetryLayer::new(policy()).without_budget().layer(Ready), get(), n)),
    ("get, tower", "get", |n| drive(tower::retry::RetryLayer::new(Thrice(2)).layer(Ready), get(), n)),
    ("put", "put", |n| drive(Ready, put(), n)),
    ("put, head cloned", "put", |n| drive(CloneHead(Ready), put(), n)),
    ("put, steadfast", "put", |n| drive(RetryLayer::new(policy()).without_budget().layer(Ready), put(), n)),
    ("put, tower", "put", |n| drive(tower::retry::RetryLayer::new(Thrice(2)).layer(Ready), put(), n)),
    ("keyed post", "keyed post", |n| drive(Ready, keyed_post(), n)),
    ("keyed post, head cloned", "keyed post", |n| drive(CloneHead(Ready), keyed_post(), n)),
    ("keyed post, steadfast", "keyed post", |n| {
        drive(RetryLayer::new(policy()).without_budget().layer(Ready), keyed_post(), n);
    }),
];

fn main() -> Result<(), Error> {
    steadfast_peers::run(&CASES)
}

fn put() -> HttpRequest {
    http(Method::PUT, 1024)
}

fn keyed_post() -> HttpRequest {
    let mut request = http(Method::POST, 1024);
    request
        .headers_mut()
        .insert("idempotency-key", HeaderValue::from_static("\"8e03978e-40d5-43dd-bc93-6894a57f9324\""));
    request
}

/// The least that anybody must do to send a request again.
struct CloneHead(Ready);

impl Service<HttpRequest> for CloneHead {
    type Response = http::Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answered<http::Response<Full<Bytes>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<HttpRequest>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        let (head, body) = request.into_parts();
        drop(black_box(head.clone()));
        self.0.call(Request::from_parts(head, body))
    }
}

fn policy() -> StandardPolicy {
    StandardPolicy::new()
}

/// For `tower::retry`: errors, a number of times, at once.
#[derive(Clone, Copy)]
struct Thrice(u32);

impl<Req: Clone, Res, E> Policy<Req, Res, E> for Thrice {
    type Future = Waits<()>;

    fn retry(&mut self, _: &mut Req, result: &mut Result<Res, E>) -> Option<Waits<()>> {
        if result.is_ok() || self.0 == 0 {
            return None;
        }
        self.0 -= 1;
        Some(std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

/// The same with tower's budget.
#[derive(Clone)]
struct Funded(Thrice, Arc<TpsBudget>);

impl Funded {
    fn new() -> Self {
        Self(Thrice(2), Arc::default())
    }
}

impl<Req: Clone, Res, E> Policy<Req, Res, E> for Funded {
    type Future = Waits<()>;

    fn retry(&mut self, request: &mut Req, result: &mut Result<Res, E>) -> Option<Waits<()>> {
        if result.is_ok() {
            self.1.deposit();
            return None;
        }
        if self.1.withdraw() { self.0.retry(request, result) } else { None }
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

fn resilience() -> tower_resilience_retry::RetryLayer<u64, u64, Infallible> {
    tower_resilience_retry::RetryLayer::builder()
        .max_attempts(3)
        .exponential_backoff(Duration::from_millis(100))
        .build()
}

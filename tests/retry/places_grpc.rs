//! gRPC as it is used: a generated client, a `Channel`, a tonic server, real sockets. Time is paused; nothing but retry sleeps.

use crate::places::{ask, broken, grpc, named, ping_pong};
use http::{HeaderMap, HeaderValue, Request, Response};
use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use steadfast::{
    backoff::{Exponential, Jitter},
    classify::Http,
    retry::{Allowance, Budget, HttpReplay, RetryLayer, StandardPolicy},
};
use tokio::time::Instant;
use tonic::{
    Code,
    body::Body,
    client::Grpc,
    service::{Routes, interceptor::InterceptedService},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{Layer, Service};

/// In front of a server's routes: the first calls are answered with these headers and no body (trailers only).
#[derive(Clone, Default)]
struct Front {
    answers: Arc<Mutex<VecDeque<HeaderMap>>>,
    seen: Arc<Mutex<Vec<(Instant, HeaderMap)>>>,
}

impl Front {
    fn answering<'a>(answers: impl IntoIterator<Item = &'a [(&'static str, &'a str)]>) -> Self {
        let headers = |pairs: &[(&'static str, &str)]| {
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
        };
        Self { answers: Arc::new(Mutex::new(answers.into_iter().map(headers).collect())), ..Self::default() }
    }

    fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// How long after the call before each one came.
    fn waits(&self) -> Vec<Duration> {
        self.seen.lock().unwrap().windows(2).map(|pair| pair[1].0 - pair[0].0).collect()
    }

    fn said(&self, name: &str) -> Vec<Option<HeaderValue>> {
        self.seen.lock().unwrap().iter().map(|(_, headers)| headers.get(name).cloned()).collect()
    }
}

impl Layer<Routes> for Front {
    type Service = Fronted<Routes>;
    fn layer(&self, inner: Routes) -> Fronted<Routes> {
        Fronted { inner, front: self.clone() }
    }
}

#[derive(Clone)]
struct Fronted<S> {
    inner: S,
    front: Front,
}

impl<S> Service<Request<Body>> for Fronted<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.front.seen.lock().unwrap().push((Instant::now(), request.headers().clone()));
        let Some(headers) = self.front.answers.lock().unwrap().pop_front() else {
            return Box::pin(self.inner.call(request));
        };
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = headers;
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        Box::pin(async { Ok(response) })
    }
}

const AWAY: &[(&str, &str)] = &[("grpc-status", "14")];

/// Repeats the health check after exactly a second.
fn steady() -> RetryLayer {
    let second = Duration::from_secs(1);
    let backoff = Exponential::new(second, second).unwrap().with_jitter(Jitter::None);
    let http = Http::new().with_repeatable_grpc(["/grpc.health.v1.Health/Check"]);
    RetryLayer::with(StandardPolicy::new().with_backoff(backoff), http, HttpReplay)
}

#[tokio::test(start_paused = true)]
async fn pushback_is_the_delay_itself_or_forbids_the_repeat() {
    let pushed = |pushback: &'static str| [("grpc-status", "14"), ("grpc-retry-pushback-ms", pushback)];
    for (pushback, waits) in [("0", vec![Duration::ZERO]), ("750", vec![Duration::from_millis(750)])] {
        let front = Front::answering([&pushed(pushback)[..]]);
        let mut client = HealthClient::new(steady().layer(grpc(front.clone()).await));
        assert_eq!(client.check(ask("a")).await.unwrap().into_inner().status, 1);
        assert_eq!(front.waits(), waits, "{pushback}");
    }
    for pushback in ["-1", "x"] {
        let front = Front::answering([&pushed(pushback)[..]]);
        let mut client = HealthClient::new(steady().layer(grpc(front.clone()).await));
        assert_eq!(client.check(ask("a")).await.unwrap_err().code(), Code::Unavailable);
        assert_eq!(front.calls(), 1, "{pushback}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_in_the_head_is_repeated_and_every_repeat_says_how_many_there_were() {
    let front = Front::answering([AWAY, AWAY]);
    let mut client = HealthClient::new(steady().layer(grpc(front.clone()).await));
    assert_eq!(client.check(ask("a")).await.unwrap().into_inner().status, 1);
    assert_eq!(front.waits(), [Duration::from_secs(1); 2]);
    let number = |n: &'static str| Some(HeaderValue::from_static(n));
    assert_eq!(front.said("grpc-previous-rpc-attempts"), [None, number("1"), number("2")]);
}

#[tokio::test(start_paused = true)]
async fn a_status_in_the_trailers_is_repeated_only_when_read_ahead() {
    let front = Front::default();
    let client = Grpc::new(named().layer(grpc(front.clone()).await));
    assert_eq!((broken(client).await.code(), front.calls()), (Code::Unavailable, 1));

    let front = Front::default();
    let client = Grpc::new(named().read_ahead(1 << 20).layer(grpc(front.clone()).await));
    assert_eq!((broken(client).await.code(), front.calls()), (Code::Unavailable, 3));
}

#[tokio::test(start_paused = true)]
async fn a_unary_call_is_repeated_by_its_key_and_carries_the_same_one() {
    let keyed = |mut request: tonic::Request<()>| {
        request.metadata_mut().insert("idempotency-key", "k".parse().unwrap());
        Ok(request)
    };
    let front = Front::answering([AWAY, AWAY]);
    let channel = RetryLayer::default().layer(grpc(front.clone()).await);
    let mut client = HealthClient::new(InterceptedService::new(channel, keyed));
    assert_eq!(client.check(ask("a")).await.unwrap().into_inner().status, 1);
    assert_eq!(front.said("idempotency-key"), vec![Some(HeaderValue::from_static("k")); 3]);

    let front = Front::answering([AWAY]);
    let mut client = HealthClient::new(RetryLayer::default().layer(grpc(front.clone()).await));
    assert_eq!(client.check(ask("a")).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(front.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn streams_pass_untouched_when_reading_ahead() {
    let minute = Duration::from_secs(60);
    for limit in [0, 1 << 20] {
        let front = Front::default();
        let channel = named().read_ahead(limit).layer(grpc(front.clone()).await);
        // what may not be repeated is not read ahead, what still sends neither
        let watch = async {
            let mut watch = HealthClient::new(channel.clone()).watch(ask("a")).await.unwrap().into_inner();
            watch.message().await.unwrap().unwrap().status
        };
        assert_eq!(tokio::time::timeout(minute, watch).await, Ok(1), "{limit}");
        let pings = tokio::time::timeout(minute, ping_pong(Grpc::new(channel))).await;
        assert_eq!(pings.unwrap(), ["1", "2", "3"], "{limit}");
        assert_eq!(front.calls(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn state_survives_relayering() {
    let budget = Budget::new(Allowance::new().with_start(3).without_trickle());
    let front = Front::answering([AWAY; 20]);
    let layer = tower::ServiceBuilder::new().layer(steady().with_budget(budget.clone())).layer(front.clone());
    // one server; a client of its own is a connection of its own, for which tonic's routes are layered anew
    let address = crate::places::grpc_at(layer.into_inner()).await;
    for _ in 0..4 {
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
        let status = HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
    }
    // three repeats among all of them
    assert_eq!((front.calls(), budget.left()), (4 + 3, 0));

    // and what one layer makes of two services of its own
    let budget = Budget::new(Allowance::new().with_start(3).without_trickle());
    let (layer, front) = (steady().with_budget(budget.clone()), Front::answering([AWAY; 20]));
    let channel = grpc(front.clone()).await;
    for _ in 0..2 {
        HealthClient::new(layer.layer(channel.clone())).check(ask("a")).await.unwrap_err();
    }
    assert_eq!((front.calls(), budget.left()), (2 + 3, 0));
}

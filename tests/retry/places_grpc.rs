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

/// gRFC A6: the deadline of a call covers its attempts and the waits between them.
#[tokio::test(start_paused = true)]
async fn grpc_timeout_is_one_deadline_for_all_attempts_and_each_is_sent_what_is_left() {
    let millis = |value: &HeaderValue| {
        let text = value.to_str().unwrap();
        let (digits, unit) = text.split_at(text.len() - 1);
        let divisor = match unit {
            "m" => 1,
            "u" => 1_000,
            "n" => 1_000_000,
            _ => panic!("{text}"),
        };
        digits.parse::<u64>().unwrap() / divisor
    };
    // a second between attempts: the third begins with half a second left, or does not begin
    for (timeout, calls) in [(2_500, 3), (1_500, 2), (900, 1)] {
        let front = Front::answering([AWAY, AWAY, AWAY]);
        let mut client = HealthClient::new(steady().layer(grpc(front.clone()).await));
        let mut request = tonic::Request::new(ask("a"));
        request.set_timeout(Duration::from_millis(timeout));
        let start = Instant::now();
        let status = client.check(request).await.unwrap_err();
        assert_eq!((status.code(), front.calls()), (Code::Unavailable, calls), "{timeout}");
        assert!(start.elapsed() <= Duration::from_millis(timeout));
        let left: Vec<u64> = front.said("grpc-timeout").iter().map(|value| millis(value.as_ref().unwrap())).collect();
        let expected = (0..).map(|attempt| timeout - attempt * 1_000).take(calls);
        for (left, expected) in left.iter().zip(expected) {
            // what went by on the way to the client is gone too
            assert!((expected - 5..=expected).contains(left), "{left} of {expected}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_the_caller_that_is_sooner_is_sent_in_place_of_grpc_timeout() {
    let front = Front::default();
    let stack = tower::ServiceBuilder::new()
        .layer(steadfast::timeout::TimeoutLayer::total(Duration::from_millis(400)))
        .layer(steady())
        .service(grpc(front.clone()).await);
    let mut request = tonic::Request::new(ask("a"));
    request.set_timeout(Duration::from_secs(60));
    HealthClient::new(stack).check(request).await.unwrap();
    let sent = front.said("grpc-timeout");
    let micros: u64 = sent[0].as_ref().unwrap().to_str().unwrap().trim_end_matches(['u', 'n']).parse().unwrap();
    assert!(micros <= 400_000_000, "{sent:?}");
    assert!(sent[0].as_ref().unwrap() != "60000000u");
}

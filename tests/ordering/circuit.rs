//! The circuit breaker, inside of retry or not, around the attempt timeout or not.

use crate::other_side::{Body, OtherSide, SECOND, Step, get, retry, whole};
use std::{convert::Infallible, future::ready, num::NonZeroU32, time::Duration};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Circuits, Config, Readiness, State},
    error::Refused,
    timeout::TimeoutLayer,
};
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_http::follow_redirect::FollowRedirectLayer;

#[tokio::test(start_paused = true)]
async fn inside_of_retry_it_opens_after_five_attempts() {
    let (other, circuit) = (OtherSide::always(Step::Answers(502)), Circuit::new("payments"));
    let client = ServiceBuilder::new().layer(retry()).layer(CircuitBreakerLayer::new(&circuit)).service(other.clone());
    client.clone().oneshot(get()).await.unwrap();
    assert_eq!(circuit.state(), State::Closed);
    _ = client.oneshot(get()).await;
    assert_eq!((circuit.state(), circuit.snapshot().view.calls), (State::Open, 5));
    assert_eq!(other.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn outside_of_retry_it_has_one_verdict_for_three_attempts_and_opens_late() {
    let (other, circuit) = (OtherSide::always(Step::Answers(502)), Circuit::new("payments"));
    let client = ServiceBuilder::new().layer(CircuitBreakerLayer::new(&circuit)).layer(retry()).service(other.clone());
    for _ in 0..5 {
        assert_eq!(circuit.state(), State::Closed);
        client.clone().oneshot(get()).await.unwrap();
    }
    assert_eq!(circuit.state(), State::Open);
    assert_eq!(other.calls(), 15);
}

/// Two of three attempts fail, and no call.
fn two_of_three_fail() -> OtherSide {
    OtherSide::new(|call| Step::Answers(if call.is_multiple_of(3) { 200 } else { 502 }))
}

#[tokio::test(start_paused = true)]
async fn inside_of_retry_it_sees_failures_that_no_caller_sees() {
    let config = Config::default().with_open_for(60 * SECOND);
    let (other, circuit) = (two_of_three_fail(), Circuit::with_config("payments", config));
    let client = ServiceBuilder::new().layer(retry()).layer(CircuitBreakerLayer::new(&circuit)).service(other);
    for _ in 0..3 {
        assert_eq!(whole(&client).await.unwrap(), 200);
    }
    // six of nine attempts, and the tenth is enough to go by
    assert_eq!((circuit.state(), circuit.snapshot().view.failed), (State::Closed, 6));
    _ = whole(&client).await;
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn outside_of_retry_it_sees_no_failure_that_retry_mends() {
    let (other, circuit) = (two_of_three_fail(), Circuit::new("payments"));
    let client = ServiceBuilder::new().layer(CircuitBreakerLayer::new(&circuit)).layer(retry()).service(other.clone());
    for _ in 0..100 {
        assert_eq!(whole(&client).await.unwrap(), 200);
    }
    let view = circuit.snapshot().view;
    assert_eq!((view.state, view.calls, view.failed, other.calls()), (State::Closed, 100, 0, 300));
}

/// Calls that hang, and how many it took to open the circuit; at most twenty.
async fn until_open<S>(client: S, circuit: &Circuit) -> usize
where
    S: tower::Service<http::Request<crate::other_side::Body>> + Clone,
{
    for call in 0..20 {
        if circuit.state() == State::Open {
            return call;
        }
        _ = client.clone().oneshot(get()).await;
    }
    20
}

const ATTEMPT: TimeoutLayer = TimeoutLayer::attempt(SECOND);

#[tokio::test(start_paused = true)]
async fn around_the_attempt_timeout_it_opens_on_calls_that_hang() {
    let (other, circuit) = (OtherSide::always(Step::Hangs), Circuit::new("payments"));
    let client = ServiceBuilder::new().layer(CircuitBreakerLayer::new(&circuit)).layer(ATTEMPT).service(other);
    assert_eq!(until_open(client, &circuit).await, 5);
}

#[tokio::test(start_paused = true)]
async fn inside_of_the_attempt_timeout_it_never_opens_on_calls_that_hang() {
    let (other, circuit) = (OtherSide::always(Step::Hangs), Circuit::new("payments"));
    let client = ServiceBuilder::new().layer(ATTEMPT).layer(CircuitBreakerLayer::new(&circuit)).service(other.clone());
    assert_eq!(until_open(client, &circuit).await, 20);
    // every one of them was dropped from outside, before it was slow: it says nothing
    let view = circuit.snapshot().view;
    assert_eq!((view.state, view.calls, other.calls()), (State::Closed, 0, 20));
}

/// What bounds the damage: a call that is dropped when it was slow already has failed.
#[tokio::test(start_paused = true)]
async fn inside_of_a_timeout_that_is_longer_than_slow_it_opens_after_all() {
    let (other, circuit) = (OtherSide::always(Step::Hangs), Circuit::new("payments"));
    let timeout = TimeoutLayer::attempt(6 * SECOND);
    let client = ServiceBuilder::new().layer(timeout).layer(CircuitBreakerLayer::new(&circuit)).service(other);
    assert_eq!(until_open(client, &circuit).await, 5);
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_inside_of_retry_ends_the_call_at_once_when_it_stays_open_too_long() {
    let (other, circuit) = (OtherSide::always(Step::Answers(200)), Circuit::new("payments"));
    circuit.open_for(20 * SECOND);
    let client = ServiceBuilder::new().layer(retry()).layer(CircuitBreakerLayer::new(&circuit)).service(other.clone());
    let start = Instant::now();
    client.oneshot(get()).await.unwrap_err();
    assert_eq!((other.calls(), start.elapsed()), (0, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_inside_of_retry_is_waited_for_when_its_period_ends_soon() {
    let (other, circuit) = (OtherSide::always(Step::Answers(200)), Circuit::new("payments"));
    circuit.open_for(2 * SECOND);
    let client = ServiceBuilder::new().layer(retry()).layer(CircuitBreakerLayer::new(&circuit)).service(other.clone());
    let start = Instant::now();
    assert_eq!(client.oneshot(get()).await.unwrap().status(), 200);
    // the refused attempt touched nobody
    assert_eq!((other.calls(), start.elapsed().as_secs()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_inside_of_retry_is_not_waited_for_beyond_the_deadline() {
    let (other, circuit) = (OtherSide::always(Step::Answers(200)), Circuit::new("payments"));
    circuit.open_for(4 * SECOND);
    let total = TimeoutLayer::total(3 * SECOND);
    let circuit_breaker = CircuitBreakerLayer::new(&circuit);
    let client = ServiceBuilder::new().layer(total).layer(retry()).layer(circuit_breaker).service(other.clone());
    let start = Instant::now();
    let error = client.oneshot(get()).await.unwrap_err();
    assert_eq!(Refused::find(&*error).unwrap().retry_after(), Some(4 * SECOND));
    assert_eq!((other.calls(), start.elapsed()), (0, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_a_ramp_refuses_is_repeated_by_retry() {
    let config = Config::default().with_half_open_permits(NonZeroU32::MIN).with_ramp_up(20 * SECOND);
    let (other, circuit) = (OtherSide::always(Step::Answers(200)), Circuit::with_config("payments", config));
    circuit.open_for(Duration::ZERO);
    let client = ServiceBuilder::new().layer(retry()).layer(CircuitBreakerLayer::new(&circuit)).service(other.clone());
    whole(&client).await.unwrap();
    // the first call of the ramp goes, the second does not until two seconds later, or four
    whole(&client).await.unwrap();
    let start = Instant::now();
    _ = whole(&client).await;
    assert!((2..=4).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn no_deadline_of_a_layer_bounds_the_wait_for_a_circuit_that_pends() {
    let (other, circuit) = (OtherSide::always(Step::Answers(200)), Circuit::new("payments"));
    circuit.open_for(60 * SECOND);
    let total = TimeoutLayer::total(3 * SECOND);
    let waits = CircuitBreakerLayer::new(&circuit).with_readiness(Readiness::Pend);
    let client = ServiceBuilder::new().layer(total).layer(retry()).layer(waits).service(other.clone());
    let start = Instant::now();
    for _ in 0..5 {
        // readiness comes before the call, and the deadline begins with the call
        assert!(tokio::time::timeout(10 * SECOND, client.clone().oneshot(get())).await.is_err());
    }
    assert_eq!(start.elapsed().as_secs(), 50);
    // the five who gave up left no place behind: the sixth is the first
    client.oneshot(get()).await.unwrap();
    assert_eq!((other.calls(), start.elapsed().as_secs()), (1, 60));
}

/// A host that redirects every call to another one, which is down.
fn redirects(request: &http::Request<Body>) -> http::Response<Body> {
    let response = http::Response::builder();
    let response = match request.uri().host() {
        Some("asked.example") => response.status(307).header("location", "http://down.example/"),
        _ => response.status(503),
    };
    response.body(Body::default()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn below_a_layer_that_follows_redirects_each_origin_has_its_own_outcomes() {
    let circuits = Circuits::per_origin("apis", Config::default());
    let other = service_fn(|request: http::Request<Body>| ready(Ok::<_, Infallible>(redirects(&request))));
    let client = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(CircuitBreakerLayer::new(circuits.clone()))
        .service(other);
    for _ in 0..5 {
        let request = http::Request::get("http://asked.example/").body(Body::default()).unwrap();
        client.clone().oneshot(request).await.unwrap();
    }
    assert_eq!(circuits.find("http://asked.example").unwrap().state(), State::Closed);
    assert_eq!(circuits.find("http://down.example").unwrap().state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn around_a_layer_that_follows_redirects_it_opens_for_a_host_that_only_redirects() {
    let circuits = Circuits::per_origin("apis", Config::default());
    let other = service_fn(|request: http::Request<Body>| ready(Ok::<_, Infallible>(redirects(&request))));
    let client = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new(circuits.clone()))
        .layer(FollowRedirectLayer::new())
        .service(other);
    for _ in 0..5 {
        let request = http::Request::get("http://asked.example/").body(Body::default()).unwrap();
        client.clone().oneshot(request).await.unwrap();
    }
    assert_eq!(circuits.find("http://asked.example").unwrap().state(), State::Open);
}

//! `ClientStack` is in the right order.

use crate::other_side::{OtherSide, SECOND, Step, get, post, retry};
use http_body_util::BodyExt;
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Circuits, Config, State},
    error::find,
    idempotency::IdempotencyKeyLayer,
    retry::Attempts,
    stack::ClientStack,
    timeout::{Elapsed, Limit},
};
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt};

#[tokio::test(start_paused = true)]
async fn every_attempt_knows_its_number_the_one_deadline_and_the_one_key_and_is_counted() {
    let other = OtherSide::new(|call| Step::Answers(if call < 3 { 502 } else { 200 }));
    let circuit = Circuit::new("payments");
    let stack = ClientStack::new("payments")
        .with_idempotency_keys(IdempotencyKeyLayer::new())
        .with_circuit_breaker(CircuitBreakerLayer::new(&circuit));
    let start = Instant::now();
    let answer = ServiceBuilder::new().layer(stack).service(other.clone()).oneshot(post()).await.unwrap();
    assert_eq!(Attempts::of(answer.extensions()).unwrap().made(), 3);
    answer.into_body().collect().await.unwrap();

    assert_eq!(other.seen(|seen| seen.attempt.number()), [1, 2, 3]);
    let deadlines = other.seen(|seen| seen.attempt.deadline().unwrap());
    assert_eq!(deadlines, [start + ClientStack::TOTAL; 3]);
    let keys = other.seen(|seen| seen.key.clone().unwrap());
    assert!(keys.iter().all(|key| *key == keys[0]));
    // one verdict for each attempt, so the circuit is inside of retry
    let view = circuit.snapshot().view;
    assert_eq!((view.calls, view.failed), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn attempts_that_hang_are_ended_one_by_one_and_open_the_circuit() {
    let (other, circuit) = (OtherSide::always(Step::Hangs), Circuit::new("payments"));
    let stack = ClientStack::new("payments")
        .with_attempt(SECOND)
        .with_retry(retry())
        .with_circuit_breaker(CircuitBreakerLayer::new(&circuit));
    let client = ServiceBuilder::new().layer(stack).service(other.clone());
    client.clone().oneshot(get()).await.unwrap_err();
    assert_eq!((other.calls(), circuit.state()), (3, State::Closed));
    client.oneshot(get()).await.unwrap_err();
    // five hung calls, though each was dropped long before it counts as slow
    assert_eq!((other.calls(), circuit.state()), (5, State::Open));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_call_is_outside_of_all_attempts() {
    let other = OtherSide::always(Step::Hangs);
    let client = ServiceBuilder::new().layer(ClientStack::new("payments")).service(other.clone());
    let start = Instant::now();
    let error = client.oneshot(get()).await.unwrap_err();
    let elapsed = find::<Elapsed>(&*error).unwrap();
    assert_eq!((elapsed.limit(), elapsed.attempts(), other.calls()), (Limit::Total, 3, 3));
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn one_origin_that_is_down_does_not_close_the_way_to_another() {
    let down = |request: &http::Request<_>| request.uri().host() == Some("down.example");
    let other = tower::service_fn(move |request: http::Request<crate::other_side::Body>| {
        let status = if down(&request) { 502 } else { 200 };
        std::future::ready(http::Response::builder().status(status).body(crate::other_side::Body::default()))
    });
    let circuits = Circuits::per_origin("partners", Config::default().with_open_for(60 * SECOND));
    let stack =
        ClientStack::new("partners").with_retry(retry()).with_circuit_breaker(CircuitBreakerLayer::new(circuits));
    let client = ServiceBuilder::new().layer(stack).service(other);
    let to = |host: &str| {
        let request = http::Request::get(format!("http://{host}/")).body(crate::other_side::Body::default());
        client.clone().oneshot(request.unwrap())
    };
    to("down.example").await.unwrap();
    _ = to("down.example").await;
    let error = to("down.example").await.unwrap_err();
    assert_eq!(steadfast::error::Refused::find(&*error).unwrap().who(), "partners/http://down.example");
    assert_eq!(to("up.example").await.unwrap().status(), 200);
}

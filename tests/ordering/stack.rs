//! `ClientStack` is in the right order.

use crate::other_side::{OtherSide, SECOND, Step, get, post, retry};
use http_body_util::BodyExt;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Waker},
};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Circuits, Config, State},
    classify::{Failure, Outcome},
    error::{Refused, find},
    idempotency::IdempotencyKeyLayer,
    retry::Attempts,
    stack::ClientStack,
    timeout::{Elapsed, Limit},
};
use tokio::time::Instant;
use tower::{Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimit};

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

/// The caller keeps the instance, as `tower::buffer` does.
#[tokio::test(start_paused = true)]
async fn a_call_that_an_open_circuit_refused_keeps_no_place_of_a_limit_below() {
    let circuit = Circuit::new("payments");
    // by key, as by default, the stack knows in the call alone that it refuses
    let circuits = Circuits::per_origin("payments", Config::default());
    for breaker in [CircuitBreakerLayer::new(&circuit), CircuitBreakerLayer::new(circuits.clone())] {
        let limited = ConcurrencyLimit::new(OtherSide::always(Step::Answers(200)), 1);
        let stack = ClientStack::new("payments").without_retry().with_circuit_breaker(breaker);
        let mut client = ServiceBuilder::new().layer(stack).service(limited.clone());
        client.ready().await.unwrap().call(get()).await.unwrap();
        let ready = client.ready().await.unwrap();
        circuit.force_open(None);
        circuits.list().iter().for_each(|circuit| circuit.force_open(None));
        let error = ready.call(get()).await.map(|_| ()).unwrap_err();
        assert!(Refused::find(&*error).is_some());
        let place =
            Service::<http::Request<_>>::poll_ready(&mut limited.clone(), &mut Context::from_waker(Waker::noop()));
        assert!(place.is_ready(), "the place is still taken");
        circuit.reset();
    }
}

#[derive(Debug, Clone, Copy)]
enum DbError {
    UniqueViolation,
    Deadlock,
}

impl std::fmt::Display for DbError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for DbError {}

#[tokio::test(start_paused = true)]
async fn a_stack_over_a_database_judges_its_errors_in_one_line() {
    let stack = ClientStack::by_error("db", |error: &DbError| match error {
        DbError::UniqueViolation => Outcome::Rejected,
        DbError::Deadlock => Outcome::Failure(Failure::Transient),
    });
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let client = ServiceBuilder::new().layer(stack).service_fn(move |error: DbError| {
        count.fetch_add(1, SeqCst);
        std::future::ready(Err::<(), _>(error))
    });
    // no run of these opens the circuit, and none is repeated
    for n in 1..=10 {
        let error = client.clone().oneshot(DbError::UniqueViolation).await.unwrap_err();
        assert!(find::<DbError>(&*error).is_some());
        assert_eq!(calls.load(SeqCst), n);
    }
    client.oneshot(DbError::Deadlock).await.unwrap_err();
    assert_eq!(calls.load(SeqCst), 13);
}

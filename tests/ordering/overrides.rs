//! What one request or one client asks for reaches the layer that it is meant for, through the whole stack.

use crate::other_side::{Body, OtherSide, SECOND, Step, get, post, retry};
use http::{HeaderValue, Request};
use std::{convert::Infallible, time::Duration};
use steadfast::{
    error::{BoxError, find},
    idempotency::{IdempotencyKey, IdempotencyKeyLayer},
    retry::{Attempts, MaxRetries, NoRetry, Stop},
    stack::{Client, ClientStack, DeliveryClient},
    timeout::{CallTimeout, Elapsed, Limit},
};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};

mod reqwests;

const ASKED: Duration = Duration::from_millis(300);

/// A name that fits into a struct field, with every override.
struct Field {
    plain: Client<OtherSide>,
    keyed: Client<OtherSide, steadfast::retry::RetryLayer, IdempotencyKeyLayer>,
    delivery: DeliveryClient<OtherSide>,
    keyed_delivery: DeliveryClient<OtherSide, IdempotencyKeyLayer>,
}

impl Field {
    fn new(other: &OtherSide) -> Self {
        let stack = ClientStack::new("payments").with_retry(retry());
        let keys = IdempotencyKeyLayer::new();
        Self {
            plain: stack.layer(other.clone()),
            keyed: stack.with_idempotency_keys(keys).layer(other.clone()),
            delivery: ClientStack::for_delivery("payments").layer(other.clone()),
            keyed_delivery: ClientStack::for_delivery("payments").with_idempotency_keys(keys).layer(other.clone()),
        }
    }
}

fn elapsed(error: &BoxError) -> (Limit, u32) {
    let elapsed = find::<Elapsed>(&**error).unwrap();
    (elapsed.limit(), elapsed.attempts())
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_request_asks_for_is_the_deadline_of_its_call() {
    let other = OtherSide::always(Step::Hangs);
    let Field { plain, keyed, delivery, keyed_delivery } = Field::new(&other);
    let start = Instant::now();
    let error = plain.oneshot(CallTimeout(ASKED).on(get())).await.unwrap_err();
    assert_eq!((elapsed(&error), start.elapsed()), ((Limit::Total, 1), ASKED));
    // longer than the stack's own 30 s: four attempts of 10 s, and 5 s of a fifth
    let (start, patient) = (Instant::now(), Field::new(&other).plain.with_max_retries(9));
    let error = patient.oneshot(CallTimeout(SECOND * 45).on(get())).await.unwrap_err();
    assert_eq!((elapsed(&error), start.elapsed()), ((Limit::Total, 5), SECOND * 45));
    let start = Instant::now();
    let error = keyed.oneshot(CallTimeout(ASKED).on(post())).await.unwrap_err();
    assert_eq!((elapsed(&error), start.elapsed()), ((Limit::Total, 1), ASKED));
    let start = Instant::now();
    let error = delivery.oneshot(CallTimeout(ASKED).on(post())).await.unwrap_err();
    assert_eq!((elapsed(&error).0, start.elapsed()), (Limit::Total, ASKED));
    let start = Instant::now();
    let error = keyed_delivery.oneshot(CallTimeout(ASKED).on(post())).await.unwrap_err();
    assert_eq!((elapsed(&error).0, start.elapsed()), (Limit::Total, ASKED));
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_client_was_given_is_the_deadline_of_its_calls_and_not_of_those_of_its_siblings() {
    let other = OtherSide::always(Step::Hangs);
    let Field { plain, delivery, .. } = Field::new(&other);
    for after in [ASKED, SECOND * 45] {
        let start = Instant::now();
        let patient: Client<OtherSide> = Field::new(&other).plain.with_max_retries(9).with_timeout(after);
        let error = patient.oneshot(get()).await.unwrap_err();
        assert_eq!((elapsed(&error).0, start.elapsed()), (Limit::Total, after));
    }
    drop(plain.clone().with_timeout(ASKED));
    let start = Instant::now();
    let hasty: DeliveryClient<OtherSide> = delivery.with_timeout(ASKED);
    assert_eq!(elapsed(&hasty.oneshot(get()).await.unwrap_err()).0, Limit::Total);
    assert_eq!(start.elapsed(), ASKED);
    let start = Instant::now();
    plain.oneshot(get()).await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 30, "the client that it was cloned from has its own deadline");
}

#[tokio::test(start_paused = true)]
async fn of_several_times_the_soonest_ends_the_call() {
    let other = OtherSide::always(Step::Hangs);
    let client = || Field::new(&other).plain;
    let grpc = |timeout: &'static str| {
        let mut request = post();
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        request.headers_mut().insert("grpc-timeout", HeaderValue::from_static(timeout));
        request
    };
    // of the client, of the request, of gRPC, and how long it took
    let cases = [
        (None, Some(SECOND), None, SECOND),
        (Some(SECOND), Some(2 * SECOND), None, SECOND),
        (Some(3 * SECOND), Some(2 * SECOND), None, 2 * SECOND),
        (None, None, Some("600m"), Duration::from_millis(600)),
        (None, None, Some("90S"), ClientStack::TOTAL),
        (Some(SECOND), None, Some("2S"), SECOND),
        (Some(3 * SECOND), Some(5 * SECOND), Some("2000000u"), 2 * SECOND),
        (None, Some(SECOND), Some("2S"), SECOND),
        (None, None, Some("garbled"), ClientStack::TOTAL),
    ];
    for (of_client, of_request, of_grpc, expected) in cases {
        let client = of_client.map_or_else(client, |after| client().with_timeout(after));
        let request = of_grpc.map_or_else(get, grpc);
        let request = match of_request {
            Some(after) => CallTimeout(after).on(request),
            None => request,
        };
        let start = Instant::now();
        // a POST is not repeated, and each attempt has 10 s
        let error = client.with_max_retries(9).oneshot(request).await.unwrap_err();
        let ended = if expected == ClientStack::TOTAL && of_grpc.is_some() { ClientStack::ATTEMPT } else { expected };
        assert_eq!(start.elapsed(), ended, "{of_client:?} {of_request:?} {of_grpc:?}: {error}");
    }
    // and that of a layer above
    let above = steadfast::timeout::TimeoutLayer::total(SECOND).layer(client().with_timeout(2 * SECOND));
    let start = Instant::now();
    above.oneshot(CallTimeout(3 * SECOND).on(get())).await.unwrap_err();
    assert_eq!(start.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_retries_that_a_request_asks_for_is_its_own() {
    let other = OtherSide::always(Step::Answers(502));
    let Field { plain, keyed, .. } = Field::new(&other);
    for (request, attempts) in [
        (get(), 3),
        (NoRetry::on(get()), 1),
        (MaxRetries(0).on(get()), 1),
        (MaxRetries(1).on(get()), 2),
        (MaxRetries(2).on(NoRetry::on(get())), 1),
    ] {
        // another stack each time: the circuit is not what is tried here
        let Field { plain, .. } = Field::new(&other);
        let before = other.calls();
        plain.oneshot(request).await.unwrap();
        assert_eq!(other.calls() - before, attempts);
    }
    drop((plain, keyed));
}

#[tokio::test(start_paused = true)]
async fn the_number_of_retries_that_a_client_was_given_is_that_of_its_calls() {
    let other = OtherSide::always(Step::Answers(502));
    let attempts = async |change: fn(Client<OtherSide>) -> Client<OtherSide>, request: Request<Body>| {
        let before = other.calls();
        let response = change(Field::new(&other).plain).oneshot(request).await.unwrap();
        let told = Attempts::of(response.extensions()).map_or((1, Stop::Exhausted), |told| (told.made(), told.stop()));
        assert_eq!(other.calls() - before, told.0 as usize);
        told
    };
    assert_eq!(attempts(|client| client, get()).await, (3, Stop::Exhausted));
    assert_eq!(attempts(|client| client.with_max_retries(3), get()).await, (4, Stop::Exhausted));
    assert_eq!(attempts(|client| client.with_max_retries(1), get()).await, (2, Stop::Exhausted));
    assert_eq!(attempts(Client::without_retries, get()).await, (1, Stop::Exhausted));
    // a request's own word goes first
    assert_eq!(attempts(|client| client.with_max_retries(1), MaxRetries(3).on(get())).await, (4, Stop::Exhausted));
    assert_eq!(attempts(|client| client.with_max_retries(3), NoRetry::on(get())).await.0, 1);
    // with keys the same
    let before = other.calls();
    Field::new(&other).keyed.with_max_retries(3).oneshot(post()).await.unwrap();
    assert_eq!(other.calls() - before, 4);
    // and the clone that it was made of keeps its number
    let plain = Field::new(&other).plain;
    drop(plain.clone().without_retries());
    let before = other.calls();
    plain.oneshot(get()).await.unwrap();
    assert_eq!(other.calls() - before, 3);
}

#[tokio::test(start_paused = true)]
async fn a_key_of_the_request_makes_a_post_repeatable_and_is_kept() {
    let other = OtherSide::new(|call| Step::Answers(if call < 3 { 502 } else { 200 }));
    for keyed in [false, true] {
        let Field { plain, keyed: with_keys, .. } = Field::new(&other);
        let mut request = post();
        request.headers_mut().insert(IdempotencyKey::HEADER, HeaderValue::from_static("order-7"));
        if keyed {
            with_keys.oneshot(request).await.unwrap();
        } else {
            plain.oneshot(request).await.unwrap();
        }
    }
    assert_eq!(other.calls(), 4);
    assert!(other.seen(|seen| seen.key.clone()).iter().all(|key| key.as_ref().unwrap() == "order-7"));
}

/// What the outer call asked for is for the outer call: a handler's calls have their own settings.
#[tokio::test(start_paused = true)]
async fn what_one_call_asks_for_is_not_asked_of_the_calls_that_its_handler_makes() {
    let leaf = OtherSide::always(Step::Answers(502));
    let inner = Field::new(&leaf).plain;
    let handler = service_fn(move |_: Request<Body>| {
        let inner = inner.clone();
        async move {
            sleep(SECOND / 10).await;
            let spawned = tokio::spawn(inner.clone().oneshot(get()));
            Ok::<_, Infallible>(spawned.await.unwrap().unwrap())
        }
    });
    let outer = ClientStack::new("outer").with_retry(retry()).layer(handler);
    let response = outer.clone().without_retries().oneshot(CallTimeout(SECOND).on(get())).await.unwrap();
    assert_eq!((response.status().as_u16(), leaf.calls()), (502, 3), "the handler's call has its two retries");
    // the deadline of a call does bound what its handler does in the same task
    let slow = OtherSide::always(Step::Hangs);
    let inner = Field::new(&slow).plain;
    let handler = service_fn(move |request: Request<Body>| {
        let (first, second) = (inner.clone(), inner.clone());
        async move {
            drop(request);
            let error = first.with_timeout(ASKED).oneshot(get()).await.unwrap_err();
            assert_eq!(elapsed(&error).0, Limit::Total);
            second.oneshot(get()).await
        }
    });
    let start = Instant::now();
    let outer = ClientStack::new("outer").with_retry(retry()).layer(handler);
    outer.oneshot(CallTimeout(2 * SECOND).on(get())).await.unwrap_err();
    assert_eq!((start.elapsed(), slow.calls()), (2 * SECOND, 2), "300 ms for the one call, the rest for the other");
}

#[tokio::test(start_paused = true)]
async fn a_stack_for_delivery_makes_one_attempt_under_the_attempt_timeout_and_a_circuit_per_origin() {
    let other = OtherSide::always(Step::Answers(503));
    let Field { delivery, .. } = Field::new(&other);
    assert_eq!(delivery.clone().oneshot(get()).await.unwrap().status(), 503);
    assert_eq!(delivery.clone().oneshot(MaxRetries(5).on(get())).await.unwrap().status(), 503);
    assert_eq!(other.calls(), 2, "nothing in it retries");
    let deadlines = other.seen(|seen| seen.attempt.deadline());
    assert_eq!(deadlines, [None, None], "and nothing in it has a total deadline");

    let hangs = OtherSide::always(Step::Hangs);
    let client = ClientStack::for_delivery("crm").layer(hangs.clone());
    let start = Instant::now();
    let error = client.clone().oneshot(get()).await.unwrap_err();
    assert_eq!((elapsed(&error).0, start.elapsed()), (Limit::Attempt, ClientStack::ATTEMPT));
    for _ in 0..5 {
        client.clone().oneshot(get()).await.unwrap_err();
    }
    let refused = client.clone().oneshot(get()).await.unwrap_err();
    let refused = steadfast::error::Refused::find(&*refused).unwrap();
    assert_eq!(refused.who(), "crm/http://payments.example");
    let elsewhere = Request::get("http://other.example/").body(Body::default()).unwrap();
    let error = client.oneshot(elsewhere).await.unwrap_err();
    assert_eq!(elapsed(&error).0, Limit::Attempt, "another origin is asked all the same");
}

#[tokio::test(start_paused = true)]
async fn a_stack_without_retry_keeps_its_deadlines_and_its_keys() {
    let other = OtherSide::always(Step::Answers(503));
    let stack = ClientStack::new("payments").with_idempotency_keys(IdempotencyKeyLayer::new()).without_retry();
    let client: DeliveryClient<OtherSide, IdempotencyKeyLayer> = stack.layer(other.clone());
    let start = Instant::now();
    client.oneshot(post()).await.unwrap();
    assert_eq!(other.calls(), 1);
    assert!(other.seen(|seen| seen.key.is_some())[0]);
    assert_eq!(other.seen(|seen| seen.attempt.deadline())[0], Some(start + ClientStack::TOTAL));
}

//! The wait for the inner service after a request had to wait for something else.

use crate::{
    scripted::{Call, Fault, Scripted},
    support::{over, request},
};
use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use steadfast::{
    error::BoxError,
    idempotency::{Idempotency, IdempotencyLayer, OnUnknown},
    testing::Probe,
};
use tokio::{
    task::{JoinHandle, yield_now},
    time::sleep,
};
use tower::{Layer, Service, ServiceExt};

type Inner = Probe<Response<Full<Bytes>>>;

const SECOND: Duration = Duration::from_secs(1);

fn probe() -> Inner {
    Probe::new(|call| Ok(Response::new(Full::from(format!("run {call}")))))
}

/// A store whose `begin` takes a second.
fn slow() -> Scripted {
    let store = Scripted::default();
    store.next(Call::Begin, vec![Fault::Takes(SECOND); 100]);
    store
}

type Answer = Result<(StatusCode, bool, String), String>;

type Running = JoinHandle<Result<Response<Body>, BoxError>>;

fn call(layer: &IdempotencyLayer, probe: &Inner) -> Running {
    let service =
        ServiceExt::<http::Request<Body>>::map_response(layer.layer(probe.clone()), |response| response.map(Body::new));
    tokio::spawn(service.oneshot(request("k", "")))
}

async fn outcome(running: Running) -> Answer {
    match running.await.unwrap() {
        Ok(response) => Ok(see(response).await),
        Err(error) => Err(error.to_string()),
    }
}

async fn see(response: Response<Body>) -> (StatusCode, bool, String) {
    let seen = crate::support::see(response).await;
    (seen.status, seen.replayed(), seen.body.unwrap())
}

fn first(text: &str) -> (StatusCode, bool, String) {
    (StatusCode::OK, false, text.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_place_is_given_back_while_the_store_is_asked_and_asked_for_again_after_it() {
    let (probe, layer) = (probe(), over(slow()));
    let mut service = layer.layer(probe.clone());
    let running = tokio::spawn(ready(&mut service).await.call(request("k", "")));
    yield_now().await;
    assert_eq!((probe.reserved(), probe.calls()), (0, 0));
    probe.set_ready(false);
    sleep(5 * SECOND).await;
    assert_eq!(probe.calls(), 0, "it waits for a place");
    probe.set_ready(true);
    assert_eq!(running.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!((probe.calls(), probe.reserved(), probe.breaches()), (1, 0, Vec::new()));
}

async fn ready(service: &mut Idempotency<Inner>) -> &mut Idempotency<Inner> {
    ServiceExt::<http::Request<Body>>::ready(service).await.unwrap()
}

/// A keyed call that waits for a place, its key claimed.
async fn waiting(layer: &IdempotencyLayer, probe: &Inner) -> Running {
    let running = call(layer, probe);
    yield_now().await;
    probe.set_ready(false);
    sleep(2 * SECOND).await;
    running
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_second_readiness_is_the_callers_and_frees_the_key() {
    let (probe, layer) = (probe(), over(slow()));
    let running = call(&layer, &probe);
    yield_now().await;
    probe.break_ready("closed".into());
    assert_eq!(outcome(running).await, Err("closed".to_owned()));
    assert_eq!(outcome(call(&layer, &probe)).await, Ok(first("run 1")), "nothing was executed before");
    assert_eq!(probe.breaches(), []);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_before_there_is_a_place_has_done_nothing_and_its_key_is_free() {
    let (probe, layer) = (probe(), over(slow()));
    let running = waiting(&layer, &probe).await;
    running.abort();
    layer.drained().await;
    probe.set_ready(true);
    sleep(60 * SECOND).await;
    assert_eq!((probe.calls(), probe.reserved()), (0, 0));
    assert_eq!(outcome(call(&layer, &probe)).await, Ok(first("run 1")));
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_renewed_while_there_is_no_place() {
    let (probe, layer) = (probe(), over(slow()).with_lease(3 * SECOND));
    let running = waiting(&layer, &probe).await;
    sleep(20 * SECOND).await;
    let second = outcome(call(&layer, &self::probe())).await.unwrap();
    assert_eq!(second.0, StatusCode::CONFLICT, "{}", second.2);
    probe.set_ready(true);
    assert_eq!(outcome(running).await, Ok(first("run 1")));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_taken_over_meanwhile_runs_nothing() {
    let store = slow();
    store.next(Call::Renew, vec![Fault::Fails; 10_000]);
    let (probe, layer) = (probe(), over(store.clone()).with_lease(3 * SECOND));
    let running = waiting(&layer, &probe).await;
    sleep(5 * SECOND).await;
    // another process, which reaches the store
    let other = over(store.memory.clone()).with_on_unknown(OnUnknown::Rerun);
    let elsewhere = Probe::new(|_| Ok(Response::new(Full::from("elsewhere"))));
    assert_eq!(outcome(call(&other, &elsewhere)).await, Ok(first("elsewhere")));
    store.clear();
    probe.set_ready(true);
    assert_eq!(outcome(running).await, Ok((StatusCode::OK, true, "elsewhere".to_owned())));
    assert_eq!((probe.calls(), elsewhere.calls()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_that_does_not_begin_leaves_its_number_to_the_next() {
    let store = slow();
    store.next(Call::Renew, vec![Fault::Fails; 10_000]);
    let hangs = probe();
    hangs.set_polls(u32::MAX);
    let dead = call(&over(store.clone()).with_lease(3 * SECOND), &hangs);
    sleep(10 * SECOND).await;
    let probe: Inner = probe();
    let layer = over(store.clone()).with_lease(3 * SECOND).with_on_unknown(OnUnknown::Rerun);
    let attempts = layer.layer(tower::service_fn(|request: http::Request<Body>| async move {
        let claim = request.extensions().get::<steadfast::idempotency::Claim>().unwrap();
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(claim.attempt().to_string())))
    }));
    let running = call(&layer, &probe);
    yield_now().await;
    probe.break_ready("closed".into());
    assert_eq!(outcome(running).await, Err("closed".to_owned()));
    sleep(10 * SECOND).await;
    let body = attempts.oneshot(request("k", "")).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "3", "the first run may have had an effect: a handler that asks for its number must see it");
    dead.abort();
}

/// No runtime is here: a timer or a task would panic.
#[test]
fn a_request_that_is_there_needs_no_timer_and_goes_to_the_instance_that_was_ready() {
    let probe = probe();
    let layer = crate::support::layer();
    let mut service = layer.layer(probe.clone());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Service::<http::Request<Body>>::poll_ready(&mut service, &mut cx).is_ready());
    probe.set_ready(false);
    let answer = pin!(service.call(request("k", "whole"))).poll(&mut cx);
    assert!(matches!(answer, Poll::Ready(Ok(_))), "it waited");
    assert_eq!((probe.calls(), probe.breaches()), (1, Vec::new()));
}

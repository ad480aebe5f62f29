//! Callers that send a part of their body, and requests that wait for another: neither holds a place below.

use crate::{
    scripted::{Call, Fault, Scripted},
    support::{Runs, app, layer, over, request, see, send},
};
use axum::{Router, body::Body, routing::get, routing::post};
use bytes::Bytes;
use http::{Request, StatusCode};
use std::time::Duration;
use steadfast::idempotency::{IdempotencyLayer, InFlight, OnUnknown, Recovered};
use tokio::{
    sync::mpsc,
    task::yield_now,
    time::{Instant, sleep, timeout},
};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tower::{ServiceBuilder, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);

type Send = mpsc::UnboundedSender<Result<Bytes, std::io::Error>>;

/// A keyed request whose body is sent by hand.
fn by_hand(key: &str) -> (Send, Request<Body>) {
    let (send, frames) = mpsc::unbounded_channel();
    let body = Body::from_stream(UnboundedReceiverStream::new(frames));
    (send, Request::post("/").header("idempotency-key", key).body(body).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_sends_a_byte_and_then_nothing_is_answered_408_and_its_key_is_free() {
    let (app, runs) = app(layer(), |_| async { "done" });
    let (held, slow) = by_hand("k");
    held.send(Ok(Bytes::from("x"))).unwrap();
    let began = Instant::now();
    let seen = see(timeout(75 * SECOND, app.clone().oneshot(slow)).await.expect("no answer in 75 s").unwrap()).await;
    assert_eq!((seen.status, began.elapsed()), (StatusCode::REQUEST_TIMEOUT, 10 * SECOND));
    assert_eq!((&*seen.title(), &seen.headers["connection"]), ("request body too slow", &"close".parse().unwrap()));
    assert!(seen.headers.contains_key("link"));
    assert_eq!(runs.get(), 0);
    assert_eq!(send(&app, request("k", "another body")).await.text(), "done");
}

/// Sends as much of a limit as there is below an idempotency layer: two places.
fn limited(layer: &IdempotencyLayer, app: Router) -> impl Fn(Request<Body>) -> Sent + use<> {
    let limited = ServiceBuilder::new().layer(layer.clone()).concurrency_limit(2).service(app);
    move |request| {
        let call = limited.clone().oneshot(request);
        tokio::spawn(async move { see(call.await.unwrap().map(Body::new)).await })
    }
}

type Sent = tokio::task::JoinHandle<crate::support::Seen>;

/// An unkeyed GET gets through at once.
async fn is_free(send: &impl Fn(Request<Body>) -> Sent) {
    let began = Instant::now();
    let get = timeout(60 * SECOND, send(Request::get("/").body(Body::empty()).unwrap())).await;
    assert_eq!(get.expect("no place for a minute").unwrap().text(), "got");
    assert_eq!(began.elapsed(), Duration::ZERO, "an unrelated request waited");
}

fn router(handler: impl Fn() -> Duration + Clone + std::marker::Send + Sync + 'static) -> Router {
    let work = move || {
        let takes = handler();
        async move {
            sleep(takes).await;
            "posted"
        }
    };
    Router::new().route("/", post(work).merge(get(|| async { "got" })))
}

#[tokio::test(start_paused = true)]
async fn callers_that_send_nothing_more_leave_the_places_below_to_others() {
    let send = limited(&layer(), router(|| Duration::ZERO));
    let mut slow = Vec::new();
    for key in ["a", "b"] {
        let (body, request) = by_hand(key);
        body.send(Ok(Bytes::from("x"))).unwrap();
        slow.push((body, send(request)));
        yield_now().await;
    }
    is_free(&send).await;
    assert_eq!(send(request("c", "")).await.unwrap().text(), "posted");
    for (body, answer) in slow {
        drop(body);
        assert_eq!(answer.await.unwrap().text(), "posted");
    }
}

#[tokio::test(start_paused = true)]
async fn duplicates_that_wait_for_their_answer_leave_the_places_below_to_others() {
    let layer = layer().with_in_flight(InFlight::Wait { at_most: 10 * SECOND });
    let send = limited(&layer, router(|| 9 * SECOND));
    let mut calls = Vec::new();
    for _ in 0..4 {
        calls.push(send(request("k", "")));
        yield_now().await;
    }
    is_free(&send).await;
    for (n, call) in calls.into_iter().enumerate() {
        let seen = call.await.unwrap();
        assert_eq!((seen.text(), seen.replayed()), ("posted", n > 0));
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_for_the_store_leave_the_places_below_to_others() {
    let store = Scripted::default();
    store.next(Call::Begin, [Fault::Hangs; 8]);
    let send = limited(&over(store), router(|| Duration::ZERO));
    let calls = ["a", "b", "c"].map(|key| send(request(key, "")));
    yield_now().await;
    is_free(&send).await;
    for call in calls {
        let status = call.await.unwrap().status;
        assert!(matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::OK), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_finds_out_leaves_the_places_below_to_others() {
    let store = Scripted::default();
    store.next(Call::Renew, vec![Fault::Fails; 10_000]);
    let (hangs, _) = app(over(store.clone()).with_lease(SECOND), |_| std::future::pending::<()>());
    for key in ["a", "b"] {
        crate::support::leave(hangs.clone().oneshot(request(key, "")));
    }
    sleep(5 * SECOND).await;
    let ask = OnUnknown::ask(|_| async {
        sleep(20 * SECOND).await;
        Recovered::NotDone
    });
    let send = limited(&over(store).with_on_unknown(ask), router(|| Duration::ZERO));
    let calls = ["a", "b"].map(|key| send(request(key, "")));
    sleep(SECOND).await;
    is_free(&send).await;
    for call in calls {
        assert_eq!(call.await.unwrap().text(), "posted");
    }
}

#[tokio::test]
async fn the_limit_of_an_outer_layer_is_413() {
    let runs = Runs::default();
    let (app, _) = app(layer(), {
        let runs = runs.clone();
        move |_| {
            runs.add();
            async { "done" }
        }
    });
    let body = Body::new(http_body_util::Limited::new(Body::from("too long"), 3));
    let seen = see(app.oneshot(request("k", "").map(|_| body)).await.unwrap()).await;
    assert_eq!((seen.status, &*seen.title(), runs.get()), (StatusCode::PAYLOAD_TOO_LARGE, "request too large", 0));
}

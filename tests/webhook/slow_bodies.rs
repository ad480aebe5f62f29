//! Callers that send a head, a byte and then nothing, or almost nothing.

use crate::support::{Inner, SECRET, github};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use std::{convert::Infallible, time::Duration};
use steadfast::{
    error::BoxError,
    idempotency::{IdempotencyLayer, Scope},
    queue::Queue,
    store::memory::MemoryStore,
    webhook::VerifyLayer,
};
use tokio::{
    sync::mpsc,
    task::yield_now,
    time::{Instant, sleep},
};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

type Body = UnsyncBoxBody<Bytes, BoxError>;
type Send = mpsc::UnboundedSender<Result<Frame<Bytes>, BoxError>>;

const SECOND: Duration = Duration::from_secs(1);

/// A body that is sent by hand.
fn by_hand() -> (Send, Body) {
    let (send, frames) = mpsc::unbounded_channel();
    (send, StreamBody::new(UnboundedReceiverStream::new(frames)).boxed_unsync())
}

fn post(body: Body, signs: &[u8]) -> Request<Body> {
    Request::post("/hooks").header("x-hub-signature-256", github().sign(signs)).body(body).unwrap()
}

fn data(bytes: &[u8]) -> Frame<Bytes> {
    Frame::data(Bytes::copy_from_slice(bytes))
}

/// What is below the layer: collects the body.
fn inner(
    inner: &Inner,
) -> impl Service<Request<Body>, Response = Response<Full<Bytes>>, Error = Infallible, Future: std::marker::Send>
+ Clone
+ std::marker::Send
+ use<> {
    let inner = inner.clone();
    service_fn(move |request: Request<Body>| {
        let service = inner.service();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            service.oneshot(Request::from_parts(head, Full::new(body))).await
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_sends_a_byte_and_then_nothing_is_answered_after_ten_seconds() {
    for bytes in [&b""[..], b"x"] {
        let (send, body) = by_hand();
        if !bytes.is_empty() {
            send.send(Ok(data(bytes))).unwrap();
        }
        let below = Inner::default();
        let began = Instant::now();
        let answer = VerifyLayer::new(github()).layer(inner(&below)).oneshot(post(body, b"x"));
        let answer = tokio::time::timeout(75 * SECOND, answer).await.expect("no answer after 75 s").unwrap();
        assert_eq!((answer.status(), began.elapsed()), (StatusCode::REQUEST_TIMEOUT, 10 * SECOND));
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(answer.headers()["connection"], "close", "RFC 9110, 15.5.9: the rest of the body is unread");
        assert_eq!(below.len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn one_byte_every_nine_seconds_is_progress_until_the_total_limit() {
    let (send, body) = by_hand();
    let sender = tokio::spawn(async move {
        let mut sent = 0;
        while send.send(Ok(data(b"x"))).is_ok() {
            sent += 1;
            sleep(9 * SECOND).await;
        }
        sent
    });
    let began = Instant::now();
    let answer = VerifyLayer::new(github()).layer(inner(&Inner::default())).oneshot(post(body, b"x"));
    let answer = tokio::time::timeout(75 * SECOND, answer).await.expect("no answer after 75 s").unwrap();
    assert_eq!((answer.status(), began.elapsed().as_secs()), (StatusCode::REQUEST_TIMEOUT, 30));
    assert_eq!(sender.await.unwrap(), 4);
}

#[tokio::test(start_paused = true)]
async fn callers_that_send_nothing_more_leave_the_places_below_to_signed_deliveries() {
    let below = Inner::default();
    let stack = ServiceBuilder::new().layer(VerifyLayer::new(github())).concurrency_limit(2).service(inner(&below));
    let mut slow = Vec::new();
    for _ in 0..2 {
        let (send, body) = by_hand();
        send.send(Ok(data(b"x"))).unwrap();
        slow.push((send, tokio::spawn(stack.clone().oneshot(post(body, b"xy")))));
        yield_now().await;
    }
    let began = Instant::now();
    for _ in 0..3 {
        let (send, body) = by_hand();
        send.send(Ok(data(SECRET.as_bytes()))).unwrap();
        drop(send);
        let signed = stack.clone().oneshot(post(body, SECRET.as_bytes()));
        let answer = tokio::time::timeout(75 * SECOND, signed).await.expect("blocked for 75 s").unwrap();
        assert_eq!((answer.status(), began.elapsed()), (StatusCode::ACCEPTED, Duration::ZERO));
    }
    // and those that go on get their place in the end
    for (send, answer) in slow {
        send.send(Ok(data(b"y"))).unwrap();
        drop(send);
        assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::ACCEPTED);
    }
    assert_eq!(below.len(), 5);
}

#[tokio::test]
async fn a_delivery_that_was_verified_under_a_larger_limit_is_not_refused_below() {
    let queue = Queue::new("q", MemoryStore::new());
    let stack = ServiceBuilder::new().layer(VerifyLayer::new(github()).with_limit(25 << 20)).service(queue.accept());
    let push = vec![b'a'; 2 << 20];
    let signed = crate::support::signed(&github(), push);
    assert_eq!(stack.oneshot(signed).await.unwrap().status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn an_extractor_of_axum_takes_what_was_verified() {
    let handler = axum::routing::post(|body: Bytes| async move { body.len().to_string() });
    let app = axum::Router::new().route("/hooks", handler).layer(VerifyLayer::new(github()).with_limit(25 << 20));
    let signed = crate::support::signed(&github(), vec![b'a'; 3 << 20]);
    assert_eq!(app.oneshot(signed.map(axum::body::Body::new)).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn the_default_limit_takes_the_25_megabytes_that_github_sends() {
    let below = Inner::default();
    let layer = VerifyLayer::new(github());
    let largest = crate::support::signed(&github(), vec![b'a'; 25 << 20]);
    assert_eq!(crate::support::send(&layer, &below, largest).await.status, StatusCode::ACCEPTED);
    let more = crate::support::signed(&github(), vec![b'a'; (25 << 20) + 1]);
    assert_eq!(crate::support::send(&layer, &below, more).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_limit_of_an_outer_layer_is_413_wherever_it_stands_in_the_chain() {
    let limited = || axum::body::Body::new(http_body_util::Limited::new(Full::new(Bytes::from("too long")), 3));
    let bodies: [(&str, Body); 3] = [
        ("itself", http_body_util::Limited::new(Full::new(Bytes::from("too long")), 3).boxed_unsync()),
        ("below axum's error", limited().map_err(Into::into).boxed_unsync()),
        ("below io's error", limited().map_err(|error| std::io::Error::other(error).into()).boxed_unsync()),
    ];
    for (place, body) in bodies {
        let below = Inner::default();
        let answer = VerifyLayer::new(github()).layer(inner(&below)).oneshot(post(body, b"too long")).await.unwrap();
        assert_eq!((answer.status(), below.len()), (StatusCode::PAYLOAD_TOO_LARGE, 0), "{place}");
    }
    let app = axum::Router::new()
        .route("/hooks", axum::routing::post(|| async { "handled" }))
        .layer(VerifyLayer::new(github()));
    let request = post(http_body_util::Empty::new().map_err(Into::into).boxed_unsync(), b"too long").map(|_| limited());
    assert_eq!(app.oneshot(request).await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE, "axum's error itself");
}

#[tokio::test]
async fn an_idempotency_layer_further_in_takes_what_was_verified_and_one_further_out_does_not() {
    let keys = || IdempotencyLayer::new(MemoryStore::new(), Scope::shared());
    let push = || {
        let mut signed = crate::support::signed(&github(), vec![b'a'; 2 << 20]);
        signed.headers_mut().insert("idempotency-key", "k".parse().unwrap());
        signed
    };
    let queue = Queue::new("q", MemoryStore::new());
    let further_in = ServiceBuilder::new().layer(VerifyLayer::new(github())).layer(keys()).service(queue.accept());
    assert_eq!(further_in.oneshot(push()).await.unwrap().status(), StatusCode::ACCEPTED);
    // it reads the body before anybody knows who sent it
    let further_out = ServiceBuilder::new().layer(keys()).layer(VerifyLayer::new(github())).service(queue.accept());
    assert_eq!(further_out.oneshot(push()).await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
    let larger = keys().with_request_limit(25 << 20);
    let further_out = ServiceBuilder::new().layer(larger).layer(VerifyLayer::new(github())).service(queue.accept());
    assert_eq!(further_out.oneshot(push()).await.unwrap().status(), StatusCode::ACCEPTED);
}

/// The order that `docs/ordering.md` names, and the other one.
#[tokio::test]
async fn a_forged_delivery_takes_a_key_only_where_nobody_was_verified_before() {
    let keyed = |mut request: Request<Full<Bytes>>| {
        request.headers_mut().insert("idempotency-key", "k".parse().unwrap());
        request
    };
    let forged = || keyed(crate::support::delivery(&[], "x"));
    let genuine = || keyed(crate::support::signed(&github(), "x"));
    let keys = || IdempotencyLayer::new(MemoryStore::new(), Scope::shared());
    let queue = Queue::new("q", MemoryStore::new());
    let inside = ServiceBuilder::new().layer(keys()).layer(VerifyLayer::new(github())).service(queue.accept());
    let outside = ServiceBuilder::new().layer(VerifyLayer::new(github())).layer(keys()).service(queue.accept());
    assert_eq!(inside.clone().oneshot(forged()).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(inside.oneshot(genuine()).await.unwrap().status(), StatusCode::UNAUTHORIZED, "a replay");
    assert_eq!(outside.clone().oneshot(forged()).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(outside.oneshot(genuine()).await.unwrap().status(), StatusCode::ACCEPTED);
}

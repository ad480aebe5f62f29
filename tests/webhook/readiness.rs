//! Which instance is called, and what is reserved meanwhile.

use crate::support::{SECRET, github, signed};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};
use steadfast::{error::BoxError, testing::Probe, webhook::VerifyLayer};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tower::{Layer, Service, ServiceExt};

type Inner = Probe<Response<Full<Bytes>>>;
type Body = UnsyncBoxBody<Bytes, BoxError>;
type Send = mpsc::UnboundedSender<Result<Frame<Bytes>, BoxError>>;

fn probe() -> Inner {
    Probe::new(|_| Ok(Response::new(Full::from("inner"))))
}

/// A signed delivery whose body is sent by hand.
fn by_hand() -> (Send, Request<Body>) {
    let (send, frames) = mpsc::unbounded_channel();
    let body = StreamBody::new(UnboundedReceiverStream::new(frames)).boxed_unsync();
    let signature = github().sign(SECRET.as_bytes());
    (send, Request::post("/hooks").header("x-hub-signature-256", signature).body(body).unwrap())
}

fn whole(send: &Send) {
    send.send(Ok(Frame::data(Bytes::from(SECRET)))).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_place_is_given_back_while_a_body_is_read_and_asked_for_again_after_it() {
    let probe = probe();
    let mut service = VerifyLayer::new(github()).layer(probe.clone());
    let (send, request) = by_hand();
    let call = ServiceExt::<Request<Body>>::ready(&mut service).await.unwrap().call(request);
    assert_eq!(probe.reserved(), 1, "a body that is there would be passed on at once");
    let call = tokio::spawn(call);
    tokio::task::yield_now().await;
    assert_eq!(probe.reserved(), 0);
    probe.set_ready(false);
    whole(&send);
    drop(send);
    tokio::task::yield_now().await;
    assert_eq!((probe.calls(), call.is_finished()), (0, false), "it waits for a place");
    probe.set_ready(true);
    assert_eq!(call.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!((probe.calls(), probe.reserved(), probe.breaches()), (1, 0, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_second_readiness_is_the_calls_error() {
    let probe = probe();
    let (send, request) = by_hand();
    let call = tokio::spawn(VerifyLayer::new(github()).layer(probe.clone()).oneshot(request));
    tokio::task::yield_now().await;
    probe.break_ready("closed".into());
    whole(&send);
    drop(send);
    assert_eq!(call.await.unwrap().unwrap_err().to_string(), "closed");
    assert_eq!((probe.calls(), probe.breaches()), (0, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_waits_for_a_place_leaves_nothing() {
    let probe = probe();
    let (send, request) = by_hand();
    let call = tokio::spawn(VerifyLayer::new(github()).layer(probe.clone()).oneshot(request));
    tokio::task::yield_now().await;
    probe.set_ready(false);
    whole(&send);
    drop(send);
    tokio::task::yield_now().await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    probe.set_ready(true);
    assert_eq!((probe.calls(), probe.reserved()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_forged_delivery_asks_for_no_place() {
    let probe = probe();
    let (send, request) = by_hand();
    let call = tokio::spawn(VerifyLayer::new(github()).layer(probe.clone()).oneshot(request));
    tokio::task::yield_now().await;
    probe.set_ready(false);
    send.send(Ok(Frame::data(Bytes::from("forged")))).unwrap();
    drop(send);
    assert_eq!(call.await.unwrap().unwrap().status(), StatusCode::UNAUTHORIZED);
}

/// No runtime is here: a timer would panic.
#[test]
fn a_body_that_is_there_needs_no_timer_and_is_passed_to_the_instance_that_was_ready() {
    let probe = probe();
    let mut service = VerifyLayer::new(github()).layer(probe.clone());
    let mut cx = Context::from_waker(Waker::noop());
    let ready = Service::<Request<Full<Bytes>>>::poll_ready(&mut service, &mut cx);
    assert!(matches!(ready, Poll::Ready(Ok(()))));
    // no other instance becomes ready
    probe.set_ready(false);
    let answer = pin!(service.call(signed(&github(), SECRET))).poll(&mut cx);
    let Poll::Ready(Ok(answer)) = answer else { panic!("it waited") };
    assert_eq!((answer.status(), probe.calls(), probe.breaches()), (StatusCode::OK, 1, Vec::new()));
}

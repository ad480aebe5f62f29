//! A keyed route whose handler calls another service, as README shows both, through an outage of that service.

use crate::support::{app, layer, request};
use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::{client::legacy::Client as Hyper, rt::TokioExecutor};
use std::{
    net::SocketAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Config},
    classify::Evidence,
    error::BoxError,
    idempotency::NotExecuted,
    stack::ClientStack,
};
use tokio::net::TcpSocket;
use tower::{Layer, Service, ServiceExt};

/// A port that is taken, and refuses connections until it listens.
fn closed() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    socket
}

/// A server of which each request is one execution; `status` is its response.
fn bank(socket: TcpSocket, status: StatusCode) -> (SocketAddr, Arc<AtomicUsize>) {
    let executed = Arc::new(AtomicUsize::new(0));
    let count = executed.clone();
    let handler = move || {
        count.fetch_add(1, SeqCst);
        async move { status }
    };
    let listener = socket.listen(16).unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, Router::new().route("/pay", post(handler))).into_future());
    (at, executed)
}

fn pay(at: SocketAddr) -> Request<Full<Bytes>> {
    Request::post(format!("http://{at}/pay")).body(Full::from("5 EUR")).unwrap()
}

fn respond<T>(called: Result<T, BoxError>) -> Response {
    match called {
        Ok(_) => StatusCode::CREATED.into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, NotExecuted::if_not_sent(&error), "bank unavailable").into_response(),
    }
}

#[tokio::test]
async fn a_call_that_did_not_connect_leaves_the_key_free_for_the_end_of_the_outage() {
    let closed = closed();
    let at = closed.local_addr().unwrap();
    let client = ClientStack::new("bank").layer(Hyper::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
    let (app, runs) = app(layer(), move |_| {
        let mut client = client.clone();
        async move { respond(client.ready().await.unwrap().call(pay(at)).await) }
    });
    assert_eq!(app.clone().oneshot(request("k", "5 EUR")).await.unwrap().status(), StatusCode::BAD_GATEWAY);
    let (_, executed) = bank(closed, StatusCode::OK);
    assert_eq!(app.clone().oneshot(request("k", "5 EUR")).await.unwrap().status(), StatusCode::CREATED);
    // recorded by now
    assert_eq!(app.oneshot(request("k", "5 EUR")).await.unwrap().headers()["idempotent-replayed"], "true");
    assert_eq!((runs.get(), executed.load(SeqCst)), (2, 1));
}

#[tokio::test]
async fn a_call_that_an_open_circuit_refused_leaves_the_key_free() {
    let (at, executed) = bank(closed(), StatusCode::OK);
    let circuit = Circuit::new("bank");
    let breaker = CircuitBreakerLayer::new(&circuit);
    let stack = ClientStack::new("bank").with_circuit_breaker(breaker);
    let client = stack.layer(Hyper::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
    let (app, runs) = app(layer(), move |_| {
        let mut client = client.clone();
        async move { respond(client.ready().await.unwrap().call(pay(at)).await) }
    });
    circuit.force_open(None);
    assert_eq!(app.clone().oneshot(request("k", "5 EUR")).await.unwrap().status(), StatusCode::BAD_GATEWAY);
    circuit.reset();
    assert_eq!(app.oneshot(request("k", "5 EUR")).await.unwrap().status(), StatusCode::CREATED);
    assert_eq!((runs.get(), executed.load(SeqCst)), (2, 1));
}

#[tokio::test]
async fn a_call_that_may_have_been_executed_and_then_was_refused_keeps_the_key() {
    // the first attempt is executed and fails, which opens the circuit for the second
    let (at, executed) = bank(closed(), StatusCode::BAD_GATEWAY);
    let minute = Duration::from_secs(60);
    let config = Config::default().with_consecutive_failures(NonZeroU32::MIN).with_open_for(minute);
    let breaker = CircuitBreakerLayer::new(Circuit::with_config("bank", config));
    let stack = ClientStack::new("bank").with_circuit_breaker(breaker);
    let client = stack.layer(Hyper::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
    let (app, runs) = app(layer(), move |_| {
        let mut client = client.clone();
        let mut pay = pay(at);
        pay.headers_mut().insert("idempotency-key", "derived".parse().unwrap());
        async move { respond(client.ready().await.unwrap().call(pay).await) }
    });
    for _ in 0..2 {
        let response = app.clone().oneshot(request("k", "5 EUR")).await.unwrap();
        assert!(response.extensions().get::<NotExecuted>().is_none());
    }
    assert_eq!((runs.get(), executed.load(SeqCst)), (1, 1));
}

/// Over reqwest the connect error of the second attempt is found by whoever knows that no redirect is followed.
#[tokio::test]
async fn a_call_over_reqwest_that_may_have_been_executed_and_then_did_not_connect_keeps_the_key() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        // nobody listens any more when the first attempt is reset
        drop(listener);
        tokio::io::AsyncReadExt::read(&mut socket, &mut [0; 4096]).await.unwrap();
        socket.set_zero_linger().unwrap();
    });
    let none = reqwest::redirect::Policy::none();
    let http = reqwest::Client::builder().redirect(none).build().unwrap();
    let mut client = ClientStack::new("bank").without_redirects().layer(http.clone());
    let request = http.post(format!("http://{at}/pay")).header("idempotency-key", "k").build().unwrap();
    let error = client.ready().await.unwrap().call(request).await.unwrap_err();
    assert!(steadfast::error::find::<steadfast::classify::MaybeExecuted>(&*error).is_some(), "{error:?}");
    assert_eq!(NotExecuted::if_not_sent_with(&error, Evidence::none().without_redirects()), None);
}

#[tokio::test]
async fn a_connect_error_of_reqwest_counts_where_its_client_follows_no_redirects() {
    let closed = closed();
    let at = closed.local_addr().unwrap();
    let error: BoxError = reqwest::Client::new().post(format!("http://{at}/")).send().await.unwrap_err().into();
    assert_eq!(NotExecuted::if_not_sent(&error), None);
    let one_hop = Evidence::none().without_redirects();
    assert_eq!(NotExecuted::if_not_sent_with(&error, one_hop), Some(NotExecuted));
}

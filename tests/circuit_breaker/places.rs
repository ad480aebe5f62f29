//! The layer in the five places, over real sockets.

use crate::support::{SECOND, after_a_run_of, reset};
use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::{client::legacy::Client as Legacy, rt::TokioExecutor};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Circuits, State},
    error::Refused,
};
use tokio::net::TcpListener;
use tonic::{Code, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_client::HealthClient};
use tower::{Layer, ServiceExt};

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// A body that breaks after its first chunk.
async fn broken() -> Response {
    let stream = async_stream(vec![Ok(Frame::data(Bytes::from_static(b"half"))), Err(reset())]);
    Response::new(Body::new(stream))
}

/// Frames with a pause between, so that what was sent is seen before the connection breaks.
fn async_stream(
    frames: Vec<Result<Frame<Bytes>, std::io::Error>>,
) -> impl http_body::Body<Data = Bytes, Error = std::io::Error> + Send + 'static {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        for frame in frames {
            let _ = sender.send(frame).await;
        }
    });
    StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(receiver))
}

fn app(calls: &Arc<AtomicU32>) -> Router {
    let calls = calls.clone();
    let count = axum::middleware::from_fn(move |request, next: axum::middleware::Next| {
        calls.fetch_add(1, SeqCst);
        next.run(request)
    });
    Router::new()
        .route("/ok", get(|| async { "ok" }))
        .route("/broken", get(broken))
        .route("/fault", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .layer(count)
}

#[tokio::test]
async fn reqwest_opens_on_broken_bodies_and_gives_the_refusal_by_downcast() {
    let calls = Arc::default();
    let address = serve(app(&calls)).await;
    let circuit = Circuit::with_config("payments", after_a_run_of(2));
    let client = CircuitBreakerLayer::new(&circuit).layer(reqwest::Client::new());
    let get = |path| reqwest::Request::new(Method::GET, format!("http://{address}{path}").parse().unwrap());
    for _ in 0..2 {
        let response: reqwest::Response = client.clone().oneshot(get("/broken")).await.unwrap();
        assert_eq!((response.status().as_u16(), response.url().path()), (200, "/broken"));
        assert!(response.bytes().await.is_err());
    }
    let error = client.oneshot(get("/ok")).await.unwrap_err();
    assert_eq!(Refused::find(&*error).unwrap().who(), "payments");
    assert_eq!(calls.load(SeqCst), 2);
}

#[tokio::test]
async fn a_reqwest_connector_layer_opens_on_connections_that_fail() {
    // a port that was free a moment ago
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let circuit = Circuit::with_config("payments", after_a_run_of(2));
    let client = reqwest::Client::builder().connector_layer(CircuitBreakerLayer::by_result(&circuit)).build().unwrap();
    for _ in 0..2 {
        let error = client.get(format!("http://{address}/")).send().await.unwrap_err();
        assert!(error.is_connect() && Refused::find(&error).is_none());
    }
    let error = client.get(format!("http://{address}/")).send().await.unwrap_err();
    assert!(Refused::find(&error).is_some());
}

#[tokio::test]
async fn a_dead_origin_does_not_close_the_way_to_another() {
    let address = serve(app(&Arc::default())).await;
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let circuits = Circuits::per_origin("apis", after_a_run_of(1));
    let client = CircuitBreakerLayer::new(circuits.clone()).layer(reqwest::Client::new());
    let get = |to| reqwest::Request::new(Method::GET, format!("http://{to}/ok").parse().unwrap());
    assert!(client.clone().oneshot(get(dead)).await.is_err());
    let error = client.clone().oneshot(get(dead)).await.unwrap_err();
    assert_eq!(Refused::find(&*error).unwrap().who(), format!("apis/http://{dead}"));
    assert_eq!(client.oneshot(get(address)).await.unwrap().status(), 200);
}

#[tokio::test]
async fn hyper_utils_client_opens_on_broken_bodies() {
    let address = serve(app(&Arc::default())).await;
    let circuit = Circuit::with_config("payments", after_a_run_of(1));
    let legacy: Legacy<_, Full<Bytes>> = Legacy::builder(TokioExecutor::new()).build_http();
    let client = CircuitBreakerLayer::new(&circuit).layer(legacy);
    let get = || Request::get(format!("http://{address}/broken")).body(Full::default()).unwrap();
    let response = client.clone().oneshot(get()).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    let error = client.oneshot(get()).await.map(drop).unwrap_err();
    assert!(Refused::find(&*error).is_some());
}

#[tokio::test]
async fn an_axum_router_answers_503_with_a_problem_and_retry_after() {
    let calls = Arc::default();
    let circuit = Circuit::with_config("orders", after_a_run_of(2));
    let address = serve(app(&calls).layer(CircuitBreakerLayer::new(&circuit).respond())).await;
    // axum applies the layer for each connection: each of these has its own, and all share the circuit
    for _ in 0..2 {
        let response = reqwest::get(format!("http://{address}/fault")).await.unwrap();
        assert_eq!(response.status(), 500);
    }
    let response = reqwest::get(format!("http://{address}/ok")).await.unwrap();
    assert_eq!((response.status(), calls.load(SeqCst)), (StatusCode::SERVICE_UNAVAILABLE, 2));
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let after: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&after), "{after}");
    let problem: serde_json::Value = response.json().await.unwrap();
    assert_eq!(problem["status"], 503);
    assert_eq!(problem["detail"], "refused by orders: circuit open after a run of failures");
}

#[tokio::test]
async fn layers_on_two_routers_share_what_they_were_given() {
    let layer = CircuitBreakerLayer::new(Circuit::with_config("orders", after_a_run_of(1))).respond();
    let (a, b) = (app(&Arc::default()).layer(layer.clone()), app(&Arc::default()).layer(layer));
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    assert_eq!(a.oneshot(get("/fault")).await.unwrap().status(), 500);
    let refused = b.oneshot(get("/ok")).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.extensions().get::<Refused>().is_some(), "an outer retry sees that nothing was sent");
}

/// A health service by hand: well, or with UNAVAILABLE in the trailers.
fn health(fails: &Arc<AtomicU32>) -> Router {
    let fails = fails.clone();
    let check = move || {
        let failed = fails.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok();
        async move {
            let serving = Frame::data(Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1]));
            let trailers = HeaderMap::from_iter([(
                "grpc-status".parse().unwrap(),
                if failed { 14.into() } else { http::HeaderValue::from(0) },
            )]);
            let body = Body::new(async_stream(vec![Ok(serving), Ok(Frame::trailers(trailers))]));
            ([("content-type", "application/grpc")], body).into_response()
        }
    };
    Router::new().route("/grpc.health.v1.Health/Check", post(check))
}

fn ask() -> HealthCheckRequest {
    HealthCheckRequest { service: String::new() }
}

#[tokio::test]
async fn a_tonic_client_opens_on_trailers_and_sees_unavailable() {
    let fails = Arc::new(AtomicU32::new(2));
    let address = serve(health(&fails)).await;
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let circuit = Circuit::with_config("health", after_a_run_of(2));
    let mut client = HealthClient::new(CircuitBreakerLayer::new(&circuit).layer(channel));
    for _ in 0..2 {
        assert_eq!(circuit.state(), State::Closed);
        let status = client.check(ask()).await.unwrap_err();
        assert_eq!((status.code(), Refused::find(&status).is_none()), (Code::Unavailable, true));
    }
    let status = client.check(ask()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "refused by health: circuit open after a run of failures");
    assert!(Refused::find(&status).is_some());
    circuit.reset();
    let response: HealthCheckResponse = client.check(ask()).await.unwrap().into_inner();
    assert_eq!((response.status, circuit.snapshot().view.run), (1, 0));
}

/// A tonic server with the crate's own health service behind `layer`, and a client of it.
macro_rules! tonic_server {
    ($layer:expr) => {{
        let (_reporter, service) = tonic_health::server::health_reporter();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder().layer($layer).add_service(service);
        tokio::spawn(server.serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener)));
        HealthClient::new(Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy())
    }};
}

#[tokio::test]
async fn a_tonic_server_answers_with_its_status_and_when_to_come_again() {
    let circuit = Circuit::new("health");
    let mut client = tonic_server!(CircuitBreakerLayer::new(&circuit).respond());
    client.check(ask()).await.unwrap();
    circuit.open_for(30 * SECOND);
    let status = client.check(ask()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "refused by health: circuit open"));
    let after: u64 = status.metadata().get("retry-after").unwrap().to_str().unwrap().parse().unwrap();
    assert!((29..=30).contains(&after));
}

#[tokio::test]
async fn failing_instead_of_answering_is_a_status_on_a_tonic_server_too() {
    let circuit = Circuit::new("health");
    let mut client = tonic_server!(CircuitBreakerLayer::new(&circuit));
    circuit.open_for(30 * SECOND);
    assert_eq!(client.check(ask()).await.unwrap_err().code(), Code::Unavailable);
}

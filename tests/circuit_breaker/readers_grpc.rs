//! The same traffic gives the same circuit, however callers read the bodies: gRPC, and gRPC-Web in both encodings.

use crate::support::{SECOND, after_a_run_of, at_half_of};
use axum::{Router, body::Body, response::IntoResponse, routing::post};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::{client::legacy::Client as Legacy, rt::TokioExecutor};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use steadfast::{
    circuit_breaker::{Circuit, CircuitBreakerLayer, Config, State},
    error::Refused,
    timeout::TimeoutLayer,
};
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};
use tonic::{Code, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_web::{GrpcWebClientLayer, GrpcWebLayer};
use tower::{Layer, ServiceExt};

/// `SERVING`, as a message.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];

fn ask() -> HealthCheckRequest {
    HealthCheckRequest { service: String::new() }
}

fn trailers(code: i32) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from(code))])
}

/// A health service whose answers end, in turn, with these codes: `Check` of one message, `Watch` of three.
fn health(codes: &'static [i32]) -> Router {
    let calls = Arc::new(AtomicUsize::new(0));
    let answer = move |messages: usize| {
        let calls = calls.clone();
        post(move || {
            let code = codes[calls.fetch_add(1, SeqCst) % codes.len()];
            async move {
                let messages = (0..messages).map(|_| Ok::<_, Infallible>(Frame::data(Bytes::from_static(SERVING))));
                let frames = messages.chain([Ok(Frame::trailers(trailers(code)))]);
                let body = Body::new(StreamBody::new(tokio_stream::iter(frames.collect::<Vec<_>>())));
                ([("content-type", "application/grpc")], body).into_response()
            }
        })
    };
    Router::new()
        .route("/grpc.health.v1.Health/Check", answer.clone()(1))
        .route("/grpc.health.v1.Health/Watch", answer(3))
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

fn channel(address: SocketAddr) -> tonic::transport::Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy()
}

/// A tonic server with the crate's own health service, which speaks gRPC-Web too, behind `layer`.
macro_rules! tonic_server {
    ($layer:expr) => {{
        let (_reporter, service) = tonic_health::server::health_reporter();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder()
            .accept_http1(true)
            .layer($layer)
            .layer(GrpcWebLayer::new())
            .add_service(service);
        tokio::spawn(server.serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener)));
        address
    }};
}

/// What counts.
fn counts(circuit: &Circuit) -> (State, u64, u64, u32) {
    let view = circuit.snapshot().view;
    (view.state, view.calls, view.failed, view.run)
}

/// Waits for what is counted when a connection's task gets to it.
async fn until(what: impl Fn() -> bool) {
    let becomes_so = async {
        while !what() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(10 * SECOND, becomes_so).await.unwrap();
}

#[tokio::test]
async fn unary_calls_of_a_tonic_client_count_by_their_trailers() {
    let address = serve(health(&[0, 14, 0, 5, 12])).await;
    let circuit = Circuit::with_config("unary", at_half_of(100, 10));
    let mut client = HealthClient::new(CircuitBreakerLayer::new(&circuit).layer(channel(address)));
    for _ in 0..20 {
        let _ = client.check(ask()).await;
    }
    // UNIMPLEMENTED is neutral, NOT_FOUND a success
    assert_eq!(counts(&circuit), (State::Closed, 16, 4, 0));
}

#[tokio::test]
async fn streams_of_a_tonic_client_count_the_same_whole_and_after_one_message() {
    for whole in [true, false] {
        let address = serve(health(&[0])).await;
        let circuit = Circuit::with_config("streams", at_half_of(100, 10));
        let mut client = HealthClient::new(CircuitBreakerLayer::new(&circuit).layer(channel(address)));
        for _ in 0..20 {
            let mut stream = client.watch(ask()).await.unwrap().into_inner();
            assert!(stream.message().await.unwrap().is_some());
            while whole && stream.message().await.unwrap().is_some() {}
        }
        assert_eq!(counts(&circuit), (State::Closed, 20, 0, 0), "whole: {whole}");
    }
}

#[tokio::test]
async fn streams_of_a_tonic_client_that_are_dropped_before_their_first_message_are_neutral() {
    let address = serve(health(&[14])).await;
    let circuit = Circuit::with_config("streams", after_a_run_of(1));
    let mut client = HealthClient::new(CircuitBreakerLayer::new(&circuit).layer(channel(address)));
    for _ in 0..20 {
        drop(client.watch(ask()).await.unwrap());
    }
    assert_eq!(counts(&circuit), (State::Closed, 0, 0, 0));
}

#[tokio::test]
async fn a_tonic_server_counts_the_same_for_clients_that_leave_after_one_message() {
    for messages in [1, 3] {
        let circuit = Circuit::with_config("server", at_half_of(100, 10));
        let address = serve(health(&[0]).layer(CircuitBreakerLayer::new(&circuit).respond())).await;
        let mut client = HealthClient::new(channel(address));
        for _ in 0..20 {
            let mut stream = client.watch(ask()).await.unwrap().into_inner();
            for _ in 0..messages {
                assert!(stream.message().await.unwrap().is_some());
            }
        }
        until(|| counts(&circuit) == (State::Closed, 20, 0, 0)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_left_alone_after_a_message_is_no_failure_and_holds_no_probe() {
    let circuit = Circuit::with_config("streams", after_a_run_of(1));
    let stream = |first: Option<&'static [u8]>| {
        let frames = first.into_iter().map(|first| Ok::<_, Infallible>(Frame::data(Bytes::from_static(first))));
        let frames =
            tokio_stream::StreamExt::chain(tokio_stream::iter(frames.collect::<Vec<_>>()), tokio_stream::pending());
        let mut response = http::Response::new(StreamBody::new(frames));
        response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        let mut response = Some(response);
        let inner =
            tower::service_fn(move |_: Request<()>| std::future::ready(Ok::<_, Infallible>(response.take().unwrap())));
        CircuitBreakerLayer::new(&circuit).layer(inner).oneshot(Request::new(()))
    };
    // a probe is settled by its first message, and may last
    circuit.open_for(SECOND);
    sleep(SECOND).await;
    let mut body = stream(Some(SERVING)).await.unwrap().into_body();
    assert_eq!(circuit.state(), State::HalfOpen);
    body.frame().await.unwrap().unwrap();
    assert_eq!(circuit.state(), State::Closed);
    assert!(timeout(3600 * SECOND, body.frame()).await.is_err());
    drop(body);
    assert_eq!(circuit.state(), State::Closed);
    // a probe whose stream is never read gives its permit back, and the next one can show that the server is well
    circuit.open_for(SECOND);
    sleep(SECOND).await;
    let held = stream(None).await.unwrap();
    assert!(stream(Some(SERVING)).await.is_err(), "the one permit is out");
    sleep(11 * SECOND).await;
    assert_eq!(circuit.state(), State::HalfOpen);
    let mut body = stream(Some(SERVING)).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(circuit.state(), State::Closed);
    drop(held);
    // without a message it is a failure to be silent for as long as a slow call takes
    let silent = stream(None).await.unwrap().into_body();
    assert!(timeout(5 * SECOND, silent.collect()).await.is_err());
    assert_eq!(circuit.state(), State::Open);
}

fn request(content_type: &'static str, address: SocketAddr, method: &str, text: bool) -> Request<Full<Bytes>> {
    // an empty message
    let body: &[u8] = if text { b"AAAAAAA=" } else { &[0, 0, 0, 0, 0] };
    Request::post(format!("http://{address}/grpc.health.v1.Health/{method}"))
        .header("content-type", content_type)
        .header("accept", content_type)
        .body(Full::new(Bytes::from_static(body)))
        .unwrap()
}

const ENCODINGS: [(&str, bool); 4] = [
    ("application/grpc-web", false),
    ("application/grpc-web+proto", false),
    ("application/grpc-web-text", true),
    ("application/grpc-web-text+proto", true),
];

/// The layer outside of tonic-web's, on a server, and around a client: whole, after one frame, and unread.
#[tokio::test]
async fn grpc_web_calls_count_the_same_however_they_are_read_in_both_encodings() {
    let client: Legacy<_, Full<Bytes>> = Legacy::builder(TokioExecutor::new()).build_http();
    for (content_type, text) in ENCODINGS {
        for frames in [usize::MAX, 1, 0] {
            let (inside, outside) = (at_half_of(100, 10), at_half_of(100, 10));
            let (inside, outside) = (Circuit::with_config("server", inside), Circuit::with_config("client", outside));
            let app = health(&[0]).layer(GrpcWebLayer::new()).layer(CircuitBreakerLayer::new(&inside).respond());
            let address = serve(app).await;
            let client = CircuitBreakerLayer::new(&outside).layer(client.clone());
            for _ in 0..20 {
                let request = request(content_type, address, "Watch", text);
                let response = client.clone().oneshot(request).await.unwrap();
                let body = response.into_body();
                tokio::pin!(body);
                for _ in 0..frames {
                    let Some(frame) = body.frame().await else { break };
                    frame.unwrap();
                }
            }
            let expected = (State::Closed, 20, 0, 0);
            assert_eq!(counts(&outside), expected, "{content_type}, {frames} frames");
            until(|| counts(&inside) == expected).await;
        }
    }
}

#[tokio::test]
async fn a_grpc_web_status_that_is_no_success_opens_it_on_both_sides_in_both_encodings() {
    let client: Legacy<_, Full<Bytes>> = Legacy::builder(TokioExecutor::new()).build_http();
    for (content_type, text) in ENCODINGS {
        let (inside, outside) =
            (Circuit::with_config("server", after_a_run_of(3)), Circuit::with_config("client", after_a_run_of(3)));
        let app =
            health(&[0, 14, 14, 14]).layer(GrpcWebLayer::new()).layer(CircuitBreakerLayer::new(&inside).respond());
        let address = serve(app).await;
        let client = CircuitBreakerLayer::new(&outside).layer(client.clone());
        for _ in 0..4 {
            assert_eq!((inside.state(), outside.state()), (State::Closed, State::Closed));
            let response = client.clone().oneshot(request(content_type, address, "Check", text)).await.unwrap();
            assert_eq!(response.status(), 200);
            response.into_body().collect().await.unwrap();
        }
        until(|| inside.state() == State::Open).await;
        assert_eq!(outside.state(), State::Open, "{content_type}");
    }
}

/// tonic's own client over tonic-web's layer, and the breaker on either side of that.
#[tokio::test]
async fn a_tonic_web_client_sees_good_calls_failures_and_refusals() {
    let server = Circuit::with_config("server", after_a_run_of(2));
    let deadline = TimeoutLayer::total(10 * SECOND).respond();
    let layers = tower::ServiceBuilder::new().layer(CircuitBreakerLayer::new(&server).respond()).layer(deadline);
    let address = tonic_server!(layers.into_inner());
    let (within, around) =
        (Circuit::with_config("within", after_a_run_of(2)), Circuit::with_config("around", after_a_run_of(2)));
    let legacy: Legacy<_, tonic_web::GrpcWebCall<tonic::body::Body>> =
        Legacy::builder(TokioExecutor::new()).build_http();
    let client = CircuitBreakerLayer::new(&around)
        .layer(GrpcWebClientLayer::new().layer(CircuitBreakerLayer::new(&within).layer(legacy)));
    let mut client = HealthClient::with_origin(client, format!("http://{address}").parse().unwrap());
    for _ in 0..20 {
        let answer = client.check(ask()).await.unwrap().into_inner();
        assert_eq!(answer.status, 1);
    }
    for circuit in [&server, &within, &around] {
        assert_eq!((circuit.state(), circuit.snapshot().view.run), (State::Closed, 0), "{}", circuit.name());
    }
    // NOT_FOUND in the head is an answer
    let unknown = HealthCheckRequest { service: "unknown".into() };
    assert_eq!(client.check(unknown).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(around.state(), State::Closed);
    // the server refuses: a status that the client understands
    server.open_for(30 * SECOND);
    let status = client.check(ask()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "refused by server: circuit open"));
    assert!(status.metadata().get("retry-after").is_some() && Refused::find(&status).is_none());
}

#[tokio::test]
async fn a_refusal_to_a_grpc_web_request_is_in_its_own_format() {
    let circuit = Circuit::new("server");
    circuit.open_for(30 * SECOND);
    let address = tonic_server!(CircuitBreakerLayer::new(&circuit).respond());
    let client: Legacy<_, Full<Bytes>> = Legacy::builder(TokioExecutor::new()).build_http();
    for (content_type, text) in ENCODINGS {
        let response = client.request(request(content_type, address, "Check", text)).await.unwrap();
        let expected = if text { "application/grpc-web-text+proto" } else { "application/grpc-web+proto" };
        assert_eq!(response.headers()["content-type"], expected);
        assert_eq!((response.status().as_u16(), response.headers()["grpc-status"].as_bytes()), (200, &b"14"[..]));
        assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
}

#[tokio::test]
async fn five_good_grpc_web_calls_leave_the_default_circuit_closed() {
    let circuit = Circuit::with_config("server", Config::default());
    let address = tonic_server!(CircuitBreakerLayer::new(&circuit).respond());
    let client: Legacy<_, Full<Bytes>> = Legacy::builder(TokioExecutor::new()).build_http();
    for (content_type, text) in ENCODINGS {
        for _ in 0..5 {
            let response = client.request(request(content_type, address, "Check", text)).await.unwrap();
            assert_eq!(response.status(), 200);
            assert!(!response.into_body().collect().await.unwrap().to_bytes().is_empty());
        }
    }
    until(|| counts(&circuit) == (State::Closed, 20, 0, 0)).await;
}

//! Over real servers: plain hyper, axum in its three ways, tonic.

use crate::support::{Runs, layer, over, request, send, serve};
use axum::{Router, body::Body, extract::Request as AxumRequest, routing::post};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use std::{net::SocketAddr, sync::Arc};
use steadfast::{idempotency::Claim, store::memory::MemoryStore};
use tokio::sync::Notify;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{Layer, ServiceBuilder};

type Frames = Full<Bytes>;

fn post_to(target: &str, key: &str, body: impl Into<Bytes>) -> Request<Frames> {
    Request::post(target).header("host", "x").header("idempotency-key", key).body(Full::new(body.into())).unwrap()
}

/// One connection that is never opened again: if the server closes it, the next request fails.
async fn connect(address: SocketAddr) -> hyper::client::conn::http1::SendRequest<Frames> {
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// A plain hyper server: `Incoming` cannot be made again, so it becomes axum's body outside of the layer.
async fn hyper_server(app: Router) -> SocketAddr {
    let service = ServiceBuilder::new()
        .map_request(|request: Request<Incoming>| request.map(Body::new))
        .layer(layer().with_request_limit(100).with_response_limit(1000).required())
        .service(app);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    address
}

#[tokio::test]
async fn a_connection_outlives_refusals_and_replays() {
    let runs = Runs::default();
    let counted = runs.clone();
    let pay = post(move || async move { format!("run {}", counted.add()) });
    let long = post(|| async { "x".repeat(2000) });
    let started = Arc::new(Notify::new());
    let begun = started.clone();
    let hangs = post(move || async move {
        begun.notify_one();
        std::future::pending::<()>().await;
    });
    let address = hyper_server(Router::new().route("/", pay).route("/long", long).route("/hangs", hangs)).await;
    let mut other = connect(address).await;
    let hanging = tokio::spawn(async move { other.send_request(post_to("/hangs", "hangs", "x")).await.map(drop) });
    started.notified().await;

    let mut connection = connect(address).await;
    let without = Request::post("/").header("host", "x").body(Full::new(Bytes::from("x"))).unwrap();
    let requests = [
        (post_to("/", "k", "x"), StatusCode::OK),
        (post_to("/", "k", "x"), StatusCode::OK),
        (post_to("/", "\"malformed", "x"), StatusCode::BAD_REQUEST),
        (without, StatusCode::BAD_REQUEST),
        (post_to("/hangs", "hangs", "x"), StatusCode::CONFLICT),
        (post_to("/", "k", "y"), StatusCode::UNPROCESSABLE_ENTITY),
        (post_to("/", "large", "x".repeat(300)), StatusCode::PAYLOAD_TOO_LARGE),
        (post_to("/long", "long", "x"), StatusCode::OK),
        (post_to("/long", "long", "x"), StatusCode::CONFLICT),
        (post_to("/", "k", "x"), StatusCode::OK),
    ];
    for (request, status) in requests {
        connection.ready().await.unwrap();
        let response = connection.send_request(request).await.unwrap();
        assert_eq!(response.status(), status);
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(runs.get(), 1);
    hanging.abort();
}

#[tokio::test]
async fn the_fingerprint_is_of_the_target_that_the_client_sent() {
    let inner = |name: &'static str| {
        Router::new().route("/pay", post(move |claim: Claim| async move { format!("{name} {}", claim.attempt()) }))
    };
    let store = MemoryStore::new();
    let within = |name| inner(name).layer(over(store.clone()));
    let app = Router::new().nest("/v1", within("one")).nest("/v2", within("two"));
    let to = |target: &str| Request::post(target).header("idempotency-key", "k").body(Body::empty()).unwrap();
    assert_eq!(send(&app, to("/v1/pay")).await.text(), "one 1");
    assert_eq!(send(&app, to("/v2/pay")).await.status, StatusCode::UNPROCESSABLE_ENTITY, "not the other's answer");
    assert!(send(&app, to("/v1/pay")).await.replayed());
}

#[tokio::test]
async fn it_is_one_layer_around_the_router_or_around_its_routes() {
    let router = || Router::new().route("/", post(|claim: Option<Claim>| async move { claim.is_some().to_string() }));
    for app in [
        router().layer(layer()),
        router().route_layer(layer()),
        Router::new().fallback_service(layer().layer(router())),
    ] {
        assert_eq!(send(&app, request("k", "")).await.text(), "true");
        assert!(send(&app, request("k", "")).await.replayed());
        assert_eq!(send(&app, Request::post("/").body(Body::empty()).unwrap()).await.text(), "false");
    }
    let missing = router().route_layer(layer());
    let elsewhere = Request::post("/elsewhere").header("idempotency-key", "e").body(Body::empty()).unwrap();
    assert_eq!(send(&missing, elsewhere).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn applied_twice_it_is_applied_once() {
    let layer = layer();
    let router = Router::new().route("/", post(|claim: Claim| async move { claim.attempt().to_string() }));
    let app = router.route_layer(layer.clone()).layer(layer);
    assert_eq!(send(&app, request("k", "")).await.text(), "1");
    assert!(send(&app, request("k", "")).await.replayed());
}

#[tokio::test]
async fn a_claim_that_is_not_there_is_the_servers_fault() {
    let app = Router::new().route("/", post(|claim: Claim| async move { claim.attempt().to_string() })).layer(layer());
    let seen = send(&app, Request::post("/").body(Body::empty()).unwrap()).await;
    assert_eq!(seen.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(seen.text().contains("no idempotency claim"));
}

#[tokio::test]
async fn an_http1_answer_has_its_length_whether_first_or_replayed() {
    let address = serve(Router::new().route("/", post(|| async { "paid" })).layer(layer())).await;
    for _ in 0..2 {
        let response = connect(address).await.send_request(post_to("/", "k", "x")).await.unwrap();
        assert_eq!(response.headers()["content-length"], "4");
    }
}

/// A health service under the layer, and how often a request reached it.
async fn tonic_server() -> (SocketAddr, Runs) {
    let runs = Runs::default();
    let counted = runs.clone();
    let count = tower::util::MapRequestLayer::new(move |request: Request<tonic::body::Body>| {
        assert!(request.extensions().get::<Claim>().is_some());
        counted.add();
        request
    });
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("a", tonic_health::ServingStatus::Serving).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let server = tonic::transport::Server::builder().layer(layer().required()).layer(count).add_service(health);
    tokio::spawn(server.serve_with_incoming(incoming));
    (address, runs)
}

#[tokio::test]
async fn a_tonic_server_replays_answers_and_refuses_with_statuses() {
    use tonic::Code;
    let (address, runs) = tonic_server().await;
    let channel =
        tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    let mut check = async |key: Option<&str>, service: &str| {
        let mut request = tonic::Request::new(HealthCheckRequest { service: service.into() });
        if let Some(key) = key {
            request.metadata_mut().insert("idempotency-key", key.parse().unwrap());
        }
        match client.check(request).await {
            Ok(response) => (Code::Ok, response.metadata().contains_key("idempotent-replayed")),
            Err(status) => (status.code(), status.metadata().contains_key("idempotent-replayed")),
        }
    };
    assert_eq!(check(Some("a"), "a").await, (Code::Ok, false));
    assert_eq!(check(Some("a"), "a").await, (Code::Ok, true));
    assert_eq!(check(Some("a"), "another").await, (Code::InvalidArgument, false));
    assert_eq!(check(Some("b"), "unknown").await, (Code::NotFound, false));
    assert_eq!(check(Some("b"), "unknown").await, (Code::NotFound, true));
    assert_eq!(check(Some("\"malformed"), "a").await, (Code::InvalidArgument, false));
    assert_eq!(check(None, "a").await, (Code::InvalidArgument, false));
    assert_eq!(runs.get(), 2);
}

#[tokio::test]
async fn a_grpc_replay_ends_with_its_trailers() {
    let (address, _) = tonic_server().await;
    let client: hyper_util::client::legacy::Client<_, Frames> =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    for replayed in [false, true] {
        let request = Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("idempotency-key", "a")
            .body(Full::new(Bytes::from_static(&[0, 0, 0, 0, 3, 10, 1, b'a'])))
            .unwrap();
        let response = client.request(request).await.unwrap();
        assert_eq!(response.headers().contains_key("idempotent-replayed"), replayed);
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(collected.to_bytes(), &[0, 0, 0, 0, 2, 8, 1][..]);
    }
}

#[test]
fn layers_and_services_go_anywhere() {
    fn goes_anywhere<T: Clone + std::fmt::Debug + Send + Sync + 'static>(_: &T) {}
    let layer = layer();
    goes_anywhere(&layer);
    goes_anywhere(&layer.layer(Router::<()>::new()));
    let shared: Arc<dyn steadfast::idempotency::IdempotencyStore> = Arc::new(MemoryStore::new());
    goes_anywhere(&over(shared));
}

#[tokio::test]
async fn nothing_under_the_layer_has_to_be_sync() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let boxed: tower::util::BoxCloneService<AxumRequest, axum::response::Response, std::convert::Infallible> =
        tower::util::BoxCloneService::new(Router::new().route("/", post(|| async {})));
    let call = is_send(tower::ServiceExt::oneshot(layer().layer(boxed), request("k", "")));
    assert_eq!(call.await.unwrap().status(), StatusCode::OK);
}

//! The layer where it is used, over real sockets, with no adapter.

use crate::server::{Seen, Stream, app, data, serve, stream, trailers};
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyDataStream, BodyExt, BodyStream, Full, StreamBody, combinators::BoxBody};
use hyper_util::{client::legacy::Client as Hyper, rt::TokioExecutor};
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
    classify::Http,
    error::BoxError,
    retry::{Allowance, Attempts, Budget, HttpReplay, RetryLayer, StandardPolicy, Stop},
};
use tokio_stream::StreamExt;
use tonic::{
    service::Routes,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{Layer, Service, ServiceExt};

const MINUTE: Duration = Duration::from_secs(60);

/// Feeds an upload: the first chunk, and the last one only when the second attempt has the first.
async fn feed(seen: &Seen, feed: tokio::sync::mpsc::Sender<crate::server::Chunk>) {
    feed.send(data("first ")).await.unwrap();
    for _ in 0..2 {
        tokio::time::timeout(MINUTE, seen.first_chunk.notified()).await.unwrap();
    }
    feed.send(data("last")).await.unwrap();
}

fn attempts(extensions: &http::Extensions) -> (u32, Stop) {
    let attempts = Attempts::of(extensions).unwrap();
    (attempts.made(), attempts.stop())
}

#[tokio::test]
async fn reqwest_repeats_and_keeps_its_response() {
    let seen = Seen::default();
    let (address, raw) = (serve(app(&seen, 0)).await, reqwest::Client::new());
    let client = RetryLayer::default().layer(raw.clone());
    let request = raw.post(format!("http://{address}/flaky")).header("idempotency-key", "k").body("hello");
    let response: reqwest::Response = client.oneshot(request.build().unwrap()).await.unwrap();
    assert_eq!(
        (response.status(), response.url().path(), response.content_length()),
        (StatusCode::OK, "/flaky", Some(5))
    );
    assert_eq!(attempts(response.extensions()), (3, Stop::Succeeded));
    assert_eq!((response.text().await.unwrap().as_str(), seen.calls.load(SeqCst)), ("hello", 3));
}

#[tokio::test]
async fn reqwest_switches_in_the_middle_of_an_upload() {
    let seen = Seen::default();
    let (address, raw) = (serve(app(&seen, 0)).await, reqwest::Client::new());
    let (to, body) = stream();
    let body = reqwest::Body::wrap_stream(BodyDataStream::new(body));
    let request = raw.put(format!("http://{address}/upload")).body(body).build().unwrap();
    let call = tokio::spawn(RetryLayer::default().layer(raw).oneshot(request));
    feed(&seen, to).await;
    assert_eq!(call.await.unwrap().unwrap().text().await.unwrap(), "first last");
}

#[tokio::test]
async fn reqwest_repeats_a_broken_response_when_read_ahead() {
    let seen = Seen::default();
    let (address, raw) = (serve(app(&seen, 1)).await, reqwest::Client::new());
    let client = RetryLayer::default().read_ahead(1 << 20).layer(raw.clone());
    let request = raw.get(format!("http://{address}/half")).build().unwrap();
    let response: reqwest::Response = client.clone().oneshot(request).await.unwrap();
    assert_eq!((response.url().path(), response.content_length()), ("/half", Some(5)));
    assert!(response.remote_addr().is_some());
    assert_eq!(attempts(response.extensions()), (2, Stop::Succeeded));
    assert_eq!((response.text().await.unwrap().as_str(), seen.calls.load(SeqCst)), ("whole", 2));
}

#[tokio::test]
async fn reqwest_keeps_its_error_type_and_a_refused_connection_repeats_a_post_once_where_no_redirect_is_followed() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let none = reqwest::redirect::Policy::none();
    let one_hop = reqwest::Client::builder().redirect(none).build().unwrap();
    let cases =
        [(reqwest::Client::new(), RetryLayer::default(), 10), (one_hop, RetryLayer::default().without_redirects(), 9)];
    for (raw, layer, left) in cases {
        let request = raw.post(format!("http://{nobody}/")).body("x").build().unwrap();
        let error: reqwest::Error = layer.layer(raw).oneshot(request).await.unwrap_err();
        assert!(error.is_connect());
        assert_eq!(layer.budgets().of(None).unwrap().left(), left);
    }
}

#[tokio::test]
async fn hyper_util_repeats() {
    let seen = Seen::default();
    let address = serve(app(&seen, 0)).await;
    let raw: Hyper<_, Full<Bytes>> = Hyper::builder(TokioExecutor::new()).build_http();
    let request = Request::post(format!("http://{address}/flaky")).header("idempotency-key", "k");
    let response = RetryLayer::default().layer(raw).oneshot(request.body(Full::from("hello")).unwrap()).await.unwrap();
    assert_eq!(attempts(response.extensions()), (3, Stop::Succeeded));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    assert_eq!(seen.calls.load(SeqCst), 3);
}

#[tokio::test]
async fn hyper_util_switches_in_the_middle_of_an_upload() {
    let seen = Seen::default();
    let address = serve(app(&seen, 0)).await;
    let raw: Hyper<_, BoxBody<Bytes, BoxError>> = Hyper::builder(TokioExecutor::new()).build_http();
    let (to, body) = stream();
    let body =
        BoxBody::new(StreamBody::new(BodyStream::<Stream>::new(body).map(|frame| frame.map_err(BoxError::from))));
    let request = Request::put(format!("http://{address}/upload")).body(body).unwrap();
    let call = tokio::spawn(RetryLayer::default().layer(raw).oneshot(request));
    feed(&seen, to).await;
    assert_eq!(call.await.unwrap().unwrap().into_body().collect().await.unwrap().to_bytes(), "first last");
}

#[tokio::test]
async fn axum_repeats_a_handler_and_switches_in_the_middle_of_an_upload() {
    let seen = Seen::default();
    let layer = RetryLayer::default();
    let address = serve(app(&seen, 0).layer(layer.clone())).await;
    let raw = reqwest::Client::new();
    let request = raw.post(format!("http://{address}/flaky")).header("idempotency-key", "k").body("hello");
    let response = request.send().await.unwrap();
    assert_eq!((response.status(), response.text().await.unwrap().as_str()), (StatusCode::OK, "hello"));
    assert_eq!(seen.calls.swap(0, SeqCst), 3);
    assert_eq!(layer.budgets().of(None).unwrap().left(), 8);

    let (to, body) = stream();
    let body = reqwest::Body::wrap_stream(BodyDataStream::new(body));
    let call = tokio::spawn(raw.put(format!("http://{address}/upload")).body(body).send());
    feed(&seen, to).await;
    assert_eq!(call.await.unwrap().unwrap().text().await.unwrap(), "first last");
}

#[tokio::test]
async fn axum_shares_one_budget_over_all_connections() {
    let budget = Budget::new(Allowance::new().with_start(10).without_trickle());
    let layer = RetryLayer::default().with_budget(budget);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let dead = axum::routing::get(move || {
        counted.fetch_add(1, SeqCst);
        std::future::ready(StatusCode::SERVICE_UNAVAILABLE)
    });
    let address = serve(axum::Router::new().route("/", dead).layer(layer.clone())).await;
    for _ in 0..8 {
        // a client of its own is a connection of its own
        let status = reqwest::Client::new().get(format!("http://{address}/")).send().await.unwrap().status();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(calls.load(SeqCst), 8 + 10);
}

type Codec = tonic_prost::ProstCodec<HealthCheckRequest, HealthCheckRequest>;

pub fn ask(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.into() }
}

/// A connection to [`grpc_at`].
pub async fn grpc<L, B>(layer: L) -> Channel
where
    L: Layer<Routes> + Clone + Send + 'static,
    L::Service: Service<Request<tonic::body::Body>, Response = Response<B>, Error: Into<BoxError> + Send, Future: Send>
        + Clone
        + Send
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    Endpoint::from_shared(format!("http://{}", grpc_at(layer).await)).unwrap().connect_lazy()
}

/// The health service, an echo (`/echo.Echo/Chat`), and one that ends in trailers UNAVAILABLE (`/echo.Echo/Broken`).
pub async fn grpc_at<L, B>(layer: L) -> SocketAddr
where
    L: Layer<Routes> + Clone + Send + 'static,
    L::Service: Service<Request<tonic::body::Body>, Response = Response<B>, Error: Into<BoxError> + Send, Future: Send>
        + Clone
        + Send
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let respond = |body: Stream| Response::builder().header("content-type", "application/grpc").body(Body::new(body));
    let echo = move |request: axum::extract::Request| async move {
        let (to, body) = stream();
        let mut from = request.into_body();
        tokio::spawn(async move {
            while let Some(Ok(frame)) = from.frame().await {
                if frame.is_data() && to.send(Ok(frame)).await.is_err() {
                    return;
                }
            }
            _ = to.send(trailers("grpc-status", 0)).await;
        });
        respond(body).unwrap()
    };
    let broken = move |request: axum::extract::Request| async move {
        let (to, body) = stream();
        tokio::spawn(async move {
            request.into_body().collect().await.unwrap();
            _ = to.send(trailers("grpc-status", 14)).await;
        });
        respond(body).unwrap()
    };
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("a", tonic_health::ServingStatus::Serving).await;
    let mut routes = Routes::new(health);
    let router = std::mem::take(routes.axum_router_mut())
        .route("/echo.Echo/Chat", axum::routing::post(echo))
        .route("/echo.Echo/Broken", axum::routing::post(broken));
    *routes.axum_router_mut() = router;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let _reporter = reporter; // the states are gone with it
        Server::builder().layer(layer).add_routes(routes).serve_with_incoming(TcpIncoming::from(listener)).await
    });
    address
}

/// The first calls answer UNAVAILABLE, as many as `faults` says.
#[derive(Clone)]
struct Faulty<S> {
    inner: S,
    faults: Arc<AtomicUsize>,
}

impl<S> Service<Request<tonic::body::Body>> for Faulty<S>
where
    S: Service<Request<tonic::body::Body>, Response = Response<tonic::body::Body>, Error = Infallible, Future: Send>,
    S::Future: 'static,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<S::Response, Infallible>> + Send>>;
    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }
    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        if self.faults.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok() {
            return Box::pin(async { Ok(tonic::Status::unavailable("away").into_http()) });
        }
        Box::pin(self.inner.call(request))
    }
}

fn faulty(faults: &Arc<AtomicUsize>) -> impl Layer<Routes, Service = Faulty<Routes>> + Clone + Send + 'static {
    let faults = faults.clone();
    tower::layer::layer_fn(move |inner| Faulty { inner, faults: faults.clone() })
}

pub fn named() -> RetryLayer {
    let paths = ["/grpc.health.v1.Health/Check", "/echo.Echo/Broken"];
    RetryLayer::with(StandardPolicy::new(), Http::new().with_repeatable_grpc(paths), HttpReplay)
}

/// Three pings, each answered before the next is sent.
pub async fn ping_pong<T>(mut client: tonic::client::Grpc<T>) -> Vec<String>
where
    T: tonic::client::GrpcService<tonic::body::Body>,
    T::Error: std::fmt::Debug,
    T::ResponseBody: http_body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
{
    client.ready().await.unwrap();
    let (to, from) = tokio::sync::mpsc::channel(1);
    let request = tonic::Request::new(tokio_stream::wrappers::ReceiverStream::new(from));
    let path = http::uri::PathAndQuery::from_static("/echo.Echo/Chat");
    let mut answers = client.streaming(request, path, Codec::default()).await.unwrap().into_inner();
    let mut seen = Vec::new();
    for ping in ["1", "2", "3"] {
        to.send(ask(ping)).await.unwrap();
        seen.push(answers.message().await.unwrap().unwrap().service);
    }
    drop(to);
    assert!(answers.message().await.unwrap().is_none());
    seen
}

/// A call that ends in trailers UNAVAILABLE every time.
pub async fn broken<T>(mut client: tonic::client::Grpc<T>) -> tonic::Status
where
    T: tonic::client::GrpcService<tonic::body::Body>,
    T::Error: std::fmt::Debug,
    T::ResponseBody: http_body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
{
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/echo.Echo/Broken");
    client.unary::<_, HealthCheckRequest, _>(tonic::Request::new(ask("")), path, Codec::default()).await.unwrap_err()
}

#[tokio::test]
async fn a_tonic_channel_repeats_what_is_named_and_passes_streams() {
    let faults = Arc::new(AtomicUsize::new(2));
    let channel = grpc(faulty(&faults)).await;
    let mut client = HealthClient::new(named().layer(channel.clone()));
    assert_eq!(client.check(ask("a")).await.unwrap().into_inner().status, 1);
    assert_eq!(faults.load(SeqCst), 0);

    // server streaming, and both ways
    let mut watch = client.watch(ask("a")).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().map(|message| message.status), Some(1));
    assert_eq!(ping_pong(tonic::client::Grpc::new(named().layer(channel.clone()))).await, ["1", "2", "3"]);

    // what is not named is sent once
    faults.store(1, SeqCst);
    let mut client = HealthClient::new(RetryLayer::default().layer(channel));
    assert_eq!(client.check(ask("a")).await.unwrap_err().code(), tonic::Code::Unavailable);
}

#[tokio::test]
async fn a_tonic_channel_sees_trailers_when_read_ahead_and_does_not_block_a_call_both_ways() {
    let channel = grpc(tower::layer::util::Identity::new()).await;
    let layer = named().read_ahead(0);
    let left = || layer.budgets().of(None).unwrap().left();
    assert_eq!(broken(tonic::client::Grpc::new(layer.layer(channel.clone()))).await.code(), tonic::Code::Unavailable);
    assert_eq!(left(), 8); // two repeats, and the last real outcome
    assert_eq!(ping_pong(tonic::client::Grpc::new(layer.layer(channel.clone()))).await, ["1", "2", "3"]);

    let head_only = named();
    broken(tonic::client::Grpc::new(head_only.layer(channel))).await;
    assert_eq!(head_only.budgets().of(None).unwrap().left(), 10);
}

#[tokio::test]
async fn a_tonic_server_repeats_and_passes_streams() {
    let faults = Arc::new(AtomicUsize::new(2));
    let layer = tower::ServiceBuilder::new().layer(named()).layer(faulty(&faults)).into_inner();
    let channel = grpc(layer).await;
    assert_eq!(HealthClient::new(channel.clone()).check(ask("a")).await.unwrap().into_inner().status, 1);
    assert_eq!(faults.load(SeqCst), 0);
    assert_eq!(ping_pong(tonic::client::Grpc::new(channel)).await, ["1", "2", "3"]);
}

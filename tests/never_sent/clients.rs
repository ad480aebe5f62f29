//! The clients of the matrix, and one POST through a retry layer over each.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioIo},
};
use std::{
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use steadfast::{
    backoff::Exponential,
    circuit_breaker::{CircuitBreakerLayer, Circuits, Config},
    error::BoxError,
    retry::{Allowance, Budget, RetryLayer, StandardPolicy},
};
use tokio::{net::TcpStream, sync::Mutex};
use tower::{Layer, Service, ServiceExt};
use tower_http::follow_redirect::{
    FollowRedirect,
    policy::{CloneBodyFn, Limited, PolicyExt, clone_body_fn},
};

pub(crate) type Body = Full<Bytes>;

/// The budget of every retry layer here: the attempts after the first are counted by what is left.
const BUDGET: u32 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Http1,
    Http2,
    Legacy1,
    Legacy2,
    Reqwest1,
    Reqwest2,
    Tonic,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] =
        [Self::Http1, Self::Http2, Self::Legacy1, Self::Legacy2, Self::Reqwest1, Self::Reqwest2, Self::Tonic];

    pub(crate) const fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Legacy2 | Self::Reqwest2 | Self::Tonic)
    }

    /// One connection that the test makes; else the client connects by itself.
    pub(crate) const fn is_one_connection(self) -> bool {
        matches!(self, Self::Http1 | Self::Http2)
    }
}

/// Where the layers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layers {
    /// A retry layer directly over the client.
    Bare,
    /// `ClientStack`.
    Stack,
    /// A retry layer that is told that no redirects are followed.
    OneHop,
}

/// Whether redirects are followed below the retry layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redirects {
    None,
    Followed,
    FollowedWithoutExtensions,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub attempts: u32,
    pub result: Result<u16, BoxError>,
}

pub(crate) fn retry(layers: Layers) -> RetryLayer {
    let backoff = Exponential::new(Duration::from_millis(1), Duration::from_millis(2)).unwrap();
    let budget = Budget::new(Allowance::new().with_start(BUDGET).without_trickle());
    let layer = RetryLayer::new(StandardPolicy::new().with_backoff(backoff)).with_budget(budget);
    if layers == Layers::OneHop { layer.without_redirects() } else { layer }
}

pub(crate) fn attempts(retry: &RetryLayer) -> u32 {
    1 + BUDGET - u32::try_from(retry.budgets().of(None).unwrap().left()).unwrap().min(BUDGET)
}

/// One request through the layers of a test over a client: how it ended.
// A macro, since the layers of a generic client need many bounds.
macro_rules! through {
    ($service:expr, $layers:expr, $request:expr) => {{
        let (service, request, retry) = ($service, $request, $crate::clients::retry($layers));
        let result = match $layers {
            $crate::clients::Layers::Stack => {
                let stack = steadfast::stack::ClientStack::new("x").with_retry(retry.clone()).layer(service);
                stack.oneshot(request).await.map(|response| response.status().as_u16())
            }
            _ => match retry.layer(service).oneshot(request).await {
                Ok(response) => Ok(response.status().as_u16()),
                Err(error) => Err(steadfast::error::BoxError::from(error)),
            },
        };
        $crate::clients::Ended { attempts: $crate::clients::attempts(&retry), result }
    }};
}
pub(crate) use through;

pub(crate) fn request(url: &str, key: Option<&str>) -> Request<Body> {
    let mut request = Request::post(url);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    request.body(Full::from("5 EUR")).unwrap()
}

type Copies = fn(&Body) -> Option<Body>;

pub(crate) fn follow<S: Clone>(
    service: S,
    redirects: Redirects,
) -> FollowRedirect<S, tower_http::follow_redirect::policy::And<Limited, CloneBodyFn<Copies>>> {
    let copies: Copies = |body| Some(body.clone());
    let policy = Limited::new(4).and::<_, Body, BoxError>(clone_body_fn(copies));
    FollowRedirect::with_policy(service, policy).preserve_extensions(redirects == Redirects::Followed)
}

/// One POST over an `http` client.
macro_rules! over_http {
    ($service:expr, $layers:expr, $redirects:expr, $request:expr) => {
        match $redirects {
            Redirects::None => through!($service, $layers, $request),
            redirects => through!(follow($service, redirects), $layers, $request),
        }
    };
}

/// One POST through a client of this kind to `url` at `address`, with the layers.
pub(crate) async fn post(
    kind: Kind,
    layers: Layers,
    redirects: Redirects,
    address: SocketAddr,
    path: &str,
    key: Option<&str>,
) -> Ended {
    let url = format!("http://{address}{path}");
    match kind {
        Kind::Http1 => over_http!(Http1::connect(address).await, layers, redirects, request(&url, key)),
        Kind::Http2 => over_http!(Http2::connect(address).await, layers, redirects, request(&url, key)),
        Kind::Legacy1 => over_http!(legacy(false), layers, redirects, request(&url, key)),
        Kind::Legacy2 => over_http!(legacy(true), layers, redirects, request(&url, key)),
        Kind::Reqwest1 => over_reqwest(reqwest(false, redirects), layers, &url, key).await,
        Kind::Reqwest2 => over_reqwest(reqwest(true, redirects), layers, &url, key).await,
        Kind::Tonic => {
            let channel = tonic::transport::Endpoint::from_shared(url.clone()).unwrap().connect_lazy();
            let mut request = request(&url, key).map(tonic::body::Body::new);
            request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
            through!(channel, layers, request)
        }
    }
}

pub(crate) async fn over_reqwest(client: reqwest::Client, layers: Layers, url: &str, key: Option<&str>) -> Ended {
    let mut request = client.post(url).body("5 EUR");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    through!(client, layers, request.build().unwrap())
}

pub(crate) fn legacy(http2: bool) -> legacy::Client<legacy::connect::HttpConnector, Body> {
    legacy::Client::builder(TokioExecutor::new()).http2_only(http2).build_http()
}

pub(crate) fn reqwest(http2: bool, redirects: Redirects) -> reqwest::Client {
    let mut client = reqwest::Client::builder();
    if http2 {
        client = client.http2_prior_knowledge();
    }
    if redirects == Redirects::None {
        client = client.redirect(reqwest::redirect::Policy::none());
    }
    client.build().unwrap()
}

/// One HTTP/1 connection, used by one request after the other.
#[derive(Clone)]
pub(crate) struct Http1(Arc<Mutex<http1::SendRequest<Body>>>);

impl Http1 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        Self(Arc::new(Mutex::new(sender)))
    }
}

impl Service<Request<Body>> for Http1 {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let sender = self.0.clone();
        Box::pin(async move {
            let mut sender = sender.lock_owned().await;
            // an error of readiness comes out of the request too
            let _ = sender.ready().await;
            sender.send_request(request).await
        })
    }
}

/// One HTTP/2 connection.
#[derive(Clone)]
pub(crate) struct Http2(http2::SendRequest<Body>);

impl Http2 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }
}

impl Service<Request<Body>> for Http2 {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// A breaker per origin whose circuit for the origin of `url` is open for the next 50 ms.
pub(crate) async fn open_for(url: &str) -> CircuitBreakerLayer {
    let circuits = Circuits::per_origin("x", Config::default());
    let layer = CircuitBreakerLayer::new(circuits.clone());
    let ready = tower::service_fn(|_: Request<Body>| async { Ok::<_, BoxError>(Response::new(Body::default())) });
    layer.clone().layer(ready).oneshot(request(url, None)).await.unwrap();
    circuits.list().iter().for_each(|circuit| circuit.open_for(Duration::from_millis(50)));
    layer
}

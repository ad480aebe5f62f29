//! Clients: responses that are read, half read, unread and cut; callers that leave; redirects; new origins.
use super::server;
use crate::subject::{Call, Subject};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{
        Client as Hyper,
        connect::{HttpConnector, dns::Name},
    },
    rt::{TokioExecutor, TokioTimer},
};
use reqwest::dns::{Addrs, Resolve, Resolving};
use std::{
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    io, iter,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use steadfast::{
    circuit_breaker::{CircuitBreakerLayer, Circuits, Config},
    error::BoxError,
    stack::ClientStack,
};
use tokio::time::timeout;
use tower::{Layer, ServiceExt, service_fn};

const RATE: u32 = 800;
const IDLE: Duration = Duration::from_secs(1);
const KINDS: u64 = 16;

/// The behaviour of a caller.
enum Caller {
    Reads,
    ReadsHalf,
    Drops,
    Leaves(Duration),
}

/// Each kind: host, method, path, caller.
fn plan(call: Call, port: u16) -> (String, Method, Caller) {
    // few where it is calm, so that few connections are kept
    let good = format!("http://h{}.soak:{port}", call.n % if call.calm { 2 } else { 50 });
    let bad = format!("http://bad{}.soak:{port}", call.n % 5);
    let get = |host: String, path: &str, caller| (host + path, Method::GET, caller);
    let soon = Duration::from_millis(fastrand::u64(1..30));
    match call.kind(KINDS) {
        1 => get(good, "/big", Caller::ReadsHalf),
        2 => get(good, "/big", Caller::Drops),
        3 => get(good, "/ok", Caller::Drops),
        4 => get(good, "/slow", Caller::Leaves(soon)),
        5 => get(bad, "/fail", Caller::Reads),
        6 => get(bad, "/cut", Caller::Reads),
        7 => get(bad, "/reset", Caller::Reads),
        8 => get(good, "/redirect", Caller::Reads),
        9 => (good + "/ok", Method::POST, Caller::Reads),
        10 => get(good, "/missing", Caller::Reads),
        11 | 12 => get(format!("http://new{}.soak:{port}", call.n), "/ok", Caller::Reads),
        13 => get(bad, "/slow", Caller::Leaves(soon)),
        _ => get(good, "/ok", Caller::Reads),
    }
}

/// A stack whose map of circuits is full soon, so that it is full at the start.
fn stack(name: &str) -> ClientStack {
    let circuits = Circuits::per_origin(name, Config::default()).with_capacity(500);
    ClientStack::new(name).with_circuit_breaker(CircuitBreakerLayer::new(circuits))
}

/// Some address of the loopback network for each name.
fn address(host: &str, port: u16) -> SocketAddr {
    let mut hasher = DefaultHasher::new();
    host.hash(&mut hasher);
    let [a, b, ..] = hasher.finish().to_be_bytes();
    (Ipv4Addr::new(127, 1, a, b.max(1)), port).into()
}

pub(super) async fn hyper(_: Duration) -> Result<Subject, BoxError> {
    let port = server::start().await?.port();
    let resolver = service_fn(|name: Name| async move { Ok::<_, io::Error>(iter::once(address(name.as_str(), 0))) });
    let client = Hyper::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build::<_, Full<Bytes>>(HttpConnector::new_with_resolver(resolver));
    let shared = stack("hyper").layer(client.clone());
    Ok(Subject::new(RATE, move |call| {
        let (uri, method, caller) = plan(call, port);
        // one of the kinds makes a stack for itself
        let own = call.kind(KINDS) == 12;
        let stacked = if own { stack("hyper, own").layer(client.clone()) } else { shared.clone() };
        async move {
            let body = if method == Method::POST { "{}" } else { "" };
            let Ok(request) = Request::builder().method(method).uri(uri).body(Full::from(body)) else { return false };
            let response = stacked.oneshot(request);
            match caller {
                Caller::Leaves(after) => timeout(after, response).await.is_ok(),
                Caller::Drops => response.await.is_ok(),
                Caller::ReadsHalf => match response.await {
                    Ok(mut response) => response.frame().await.is_some_and(|frame| frame.is_ok()),
                    Err(_) => false,
                },
                Caller::Reads => match response.await {
                    Ok(response) => {
                        let status = response.status();
                        response.into_body().collect().await.is_ok() && status == StatusCode::OK
                    }
                    Err(_) => false,
                },
            }
        }
    }))
}

struct Loopback;

impl Resolve for Loopback {
    fn resolve(&self, name: reqwest::dns::Name) -> Resolving {
        let found: Addrs = Box::new(iter::once(address(name.as_str(), 0)));
        Box::pin(async move { Ok(found) })
    }
}

pub(super) async fn reqwest(_: Duration) -> Result<Subject, BoxError> {
    let port = server::start().await?.port();
    let client = reqwest::Client::builder().dns_resolver(Arc::new(Loopback)).pool_idle_timeout(IDLE).build()?;
    let shared = stack("reqwest").layer(client.clone());
    Ok(Subject::new(RATE, move |call| {
        let (url, method, caller) = plan(call, port);
        let own = call.kind(KINDS) == 12;
        let stacked = if own { stack("reqwest, own").layer(client.clone()) } else { shared.clone() };
        async move {
            let Ok(url) = url.parse() else { return false };
            let mut request = reqwest::Request::new(method, url);
            if request.method() == Method::POST {
                *request.body_mut() = Some("{}".into());
            }
            let response = stacked.oneshot(request);
            match caller {
                Caller::Leaves(after) => timeout(after, response).await.is_ok(),
                Caller::Drops => response.await.is_ok(),
                Caller::ReadsHalf => match response.await {
                    Ok(mut response) => response.chunk().await.is_ok(),
                    Err(_) => false,
                },
                Caller::Reads => match response.await {
                    Ok(response) => {
                        let status = response.status();
                        response.bytes().await.is_ok() && status == StatusCode::OK
                    }
                    Err(_) => false,
                },
            }
        }
    }))
}

/// Without sockets, so that there can be many.
pub(super) async fn origins(load: Duration) -> Result<Subject, BoxError> {
    let server = service_fn(|request: Request<Full<Bytes>>| async move {
        let fails = request.uri().host().is_some_and(|host| host.ends_with("7.soak"));
        let mut response = Response::new(Full::<Bytes>::from("ok"));
        if fails {
            *response.status_mut() = StatusCode::BAD_GATEWAY;
        }
        Ok::<_, Infallible>(response)
    });
    let stacked = ClientStack::new("origins").layer(server);
    let get = move |n: u64| {
        let stacked = stacked.clone();
        async move {
            let uri: Result<Uri, _> = format!("https://o{n}.soak").parse();
            let Ok(request) = uri.map(|uri| {
                let mut request = Request::new(Full::default());
                *request.uri_mut() = uri;
                request
            }) else {
                return false;
            };
            stacked.oneshot(request).await.is_ok_and(|response: Response<_>| response.status() == StatusCode::OK)
        }
    };
    // the map of circuits is full from the start
    for n in 0..u64::try_from(Circuits::CAPACITY)? {
        get(1_000_000_000 + n * 10).await;
    }
    let rate = (220_000 / load.as_secs().max(1)).max(1_800);
    Ok(Subject::new(u32::try_from(rate)?, move |call| get(if call.calm { call.n * 10 } else { call.n })))
}

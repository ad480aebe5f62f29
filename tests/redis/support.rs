use crate::redis_server::{RedisServer, url};
use axum::{Router, body::Body, routing::post};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use steadfast::{
    idempotency::{Begin, Fence, Fingerprint, IdempotencyLayer, Recorded, Scope, StoreKey, StoredResponse, Token},
    store::redis::RedisStore,
};
use tower::ServiceExt as _;

pub(crate) const LEASE: Duration = Duration::from_secs(30);
pub(crate) const KEEP: Duration = Duration::from_secs(60);

pub(crate) async fn store(server: &RedisServer) -> RedisStore {
    RedisStore::connect(server.url()).await.unwrap()
}

pub(crate) async fn store_at(port: u16) -> RedisStore {
    RedisStore::connect(url(port)).await.unwrap()
}

/// `POST /` over the layer: counts its runs, waits as long as it is told, and answers 201 with the number of the run.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) layer: IdempotencyLayer,
    router: Router,
    runs: Arc<AtomicUsize>,
}

#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Seen {
    pub(crate) fn replayed(&self) -> bool {
        self.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
    }

    /// Of a refusal.
    pub(crate) fn title(&self) -> String {
        let problem: serde_json::Value = serde_json::from_str(&self.text).unwrap();
        problem["title"].as_str().unwrap().to_owned()
    }
}

impl App {
    pub(crate) fn new(layer: IdempotencyLayer, takes: Duration) -> Self {
        let runs = Arc::<AtomicUsize>::default();
        let counted = runs.clone();
        let handler = move || {
            let run = counted.fetch_add(1, SeqCst) + 1;
            async move {
                tokio::time::sleep(takes).await;
                (StatusCode::CREATED, format!("run {run}"))
            }
        };
        let router = Router::new().route("/", post(handler)).layer(layer.clone());
        Self { layer, router, runs }
    }

    /// Over this store, with a handler that takes no time.
    pub(crate) fn over(store: RedisStore) -> Self {
        Self::new(layer(store), Duration::ZERO)
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.load(SeqCst)
    }

    pub(crate) async fn post(&self, key: &str) -> Seen {
        let request = Request::post("/").header("idempotency-key", key).body(Body::empty()).unwrap();
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
        Seen { status: head.status, headers: head.headers, text }
    }
}

pub(crate) fn layer(store: RedisStore) -> IdempotencyLayer {
    IdempotencyLayer::new(store, Scope::shared())
}

/// What a claim that was given up may take to be gone for certain: for tests that wait until nothing is left to do.
pub(crate) const SHORT: Duration = Duration::from_secs(2);

/// A try of a caller of its own.
pub(crate) fn begin(key: &str) -> Begin {
    let fingerprint = Fingerprint { version: Fingerprint::VERSION, hash: [7; 32] };
    Begin { key: StoreKey::new(b"", key), fingerprint, token: Token::random(), lease: LEASE, take_over: None }
}

pub(crate) fn fence(begin: &Begin) -> Fence {
    Fence { key: begin.key, token: begin.token }
}

pub(crate) fn answer(body: impl Into<bytes::Bytes>) -> Recorded {
    Recorded::Response(StoredResponse::new(StatusCode::CREATED, body))
}

/// Every name in Redis that begins with the default prefix.
pub(crate) fn names(server: &RedisServer) -> Vec<String> {
    server.cli(&["--scan", "--pattern", "steadfast:*"]).lines().map(str::to_owned).collect()
}

use axum::{Router, body::Body, routing::post};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use std::{
    future::Future,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Waker},
};
use steadfast::{
    idempotency::{IdempotencyLayer, IdempotencyStore, Scope},
    store::memory::MemoryStore,
};
use tower::ServiceExt;

pub fn layer() -> IdempotencyLayer {
    over(MemoryStore::new())
}

pub fn over(store: impl IdempotencyStore) -> IdempotencyLayer {
    IdempotencyLayer::new(store, Scope::shared())
}

pub fn request(key: &str, body: &str) -> Request<Body> {
    Request::post("/").header("idempotency-key", key).body(Body::from(body.to_owned())).unwrap()
}

/// How often a handler ran.
#[derive(Clone, Default)]
pub struct Runs(Arc<AtomicUsize>);

impl Runs {
    pub fn add(&self) -> usize {
        self.0.fetch_add(1, SeqCst) + 1
    }

    pub fn get(&self) -> usize {
        self.0.load(SeqCst)
    }
}

/// `POST /` counts its runs and does `work`.
pub fn app<F, R>(
    layer: IdempotencyLayer,
    work: impl Fn(Request<Body>) -> F + Clone + Send + Sync + 'static,
) -> (Router, Runs)
where
    F: Future<Output = R> + Send,
    R: axum::response::IntoResponse,
{
    let runs = Runs::default();
    let counted = runs.clone();
    let handler = move |request: Request<Body>| {
        counted.add();
        work(request)
    };
    (Router::new().route("/", post(handler)).layer(layer), runs)
}

/// An app whose handler answers 201 with its number of the run, at once.
pub fn counting(layer: IdempotencyLayer) -> (Router, Runs) {
    let n = Runs::default();
    app(layer, move |_| {
        let run = n.add();
        async move { (StatusCode::CREATED, format!("run {run}")) }
    })
}

#[derive(Debug)]
pub struct Seen {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Result<String, axum::Error>,
    pub trailers: Option<HeaderMap>,
}

impl Seen {
    pub fn replayed(&self) -> bool {
        self.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
    }

    pub fn text(&self) -> &str {
        self.body.as_deref().unwrap()
    }

    pub fn title(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem: serde_json::Value = serde_json::from_str(self.text()).unwrap();
        assert_eq!(problem["status"], self.status.as_u16());
        problem["title"].as_str().unwrap().to_owned()
    }
}

pub async fn see(response: Response<Body>) -> Seen {
    let (head, body) = response.into_parts();
    let (body, trailers) = match body.collect().await {
        Err(error) => (Err(error), None),
        Ok(collected) => {
            let trailers = collected.trailers().cloned();
            (Ok(String::from_utf8(collected.to_bytes().into()).unwrap()), trailers)
        }
    };
    Seen { status: head.status, headers: head.headers, body, trailers }
}

pub async fn send(app: &Router, request: Request<Body>) -> Seen {
    see(app.clone().oneshot(request).await.unwrap()).await
}

/// Polled once, then dropped: a caller who leaves.
pub fn leave(call: impl Future) {
    let left = pin!(call).poll(&mut Context::from_waker(Waker::noop())).is_pending();
    assert!(left, "it was answered before its caller could leave");
}

pub async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

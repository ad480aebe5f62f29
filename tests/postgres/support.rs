use super::postgres_server::shared;
use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
    routing::post,
};
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
    error::StoreError,
    idempotency::{Begin, Claim, Fence, Fingerprint, IdempotencyLayer, Scope, StoreKey, StoredResponse, Token},
    store::postgres::{
        PostgresStore,
        sqlx::{self, PgPool},
    },
};
use tower::ServiceExt as _;

pub const KEEP: Duration = Duration::from_secs(3600);
pub const LEASE: Duration = Duration::from_secs(30);

/// A store in a new database of the shared server.
pub async fn store() -> PostgresStore {
    migrated(shared().pool().await).await
}

/// A store over this pool, and a table of the user's: `paid(key text, amount int)`.
pub async fn migrated(pool: PgPool) -> PostgresStore {
    let store = PostgresStore::new(pool);
    store.migrate().await.unwrap();
    sqlx::raw_sql("CREATE TABLE paid (key text NOT NULL, amount int NOT NULL)").execute(store.pool()).await.unwrap();
    store
}

/// How many payments there are.
pub async fn paid(store: &PostgresStore) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM paid").fetch_one(store.pool()).await.unwrap()
}

pub fn layer(store: &PostgresStore) -> IdempotencyLayer {
    IdempotencyLayer::new(store.clone(), Scope::shared())
}

pub fn begin(key: &str, lease: Duration) -> Begin {
    let fingerprint = Fingerprint { version: Fingerprint::VERSION, hash: [1; 32] };
    Begin { key: StoreKey::new(b"", key), fingerprint, token: Token::random(), lease, take_over: None }
}

pub fn fence(begin: &Begin) -> Fence {
    Fence { key: begin.key, token: begin.token }
}

/// A server whose `POST /` runs `work` behind the layer, and counts the runs.
#[derive(Clone)]
pub struct App {
    router: Router,
    runs: Arc<AtomicUsize>,
}

impl App {
    pub fn new<F, R>(layer: IdempotencyLayer, work: impl Fn(Claim) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = R> + Send,
        R: IntoResponse,
    {
        let runs = Arc::<AtomicUsize>::default();
        let counted = runs.clone();
        let handler = move |request: Request<Body>| {
            counted.fetch_add(1, SeqCst);
            work(request.extensions().get::<Claim>().unwrap().clone())
        };
        Self { router: Router::new().route("/", post(handler)).layer(layer), runs }
    }

    /// Answers 201 at once.
    pub fn counting(layer: IdempotencyLayer) -> Self {
        Self::new(layer, |_| async { created() })
    }

    pub fn runs(&self) -> usize {
        self.runs.load(SeqCst)
    }

    pub async fn post(&self, key: &str) -> Seen {
        let request = Request::post("/").header("idempotency-key", key).body(Body::from("5 EUR")).unwrap();
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
        Seen { status: head.status, headers: head.headers, text }
    }
}

pub fn created() -> Response {
    (StatusCode::CREATED, "paid").into_response()
}

pub fn answer() -> StoredResponse {
    StoredResponse::new(StatusCode::CREATED, "paid")
}

#[derive(Debug)]
pub struct Seen {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Seen {
    pub fn replayed(&self) -> bool {
        self.headers.contains_key("idempotent-replayed")
    }

    pub fn title(&self) -> String {
        let problem: serde_json::Value = serde_json::from_str(&self.text).unwrap();
        problem["title"].as_str().unwrap().to_owned()
    }
}

/// Business and record, in one transaction that is still open.
pub async fn pay<'a>(
    store: &'a PostgresStore,
    claim: &Claim,
) -> Result<sqlx::Transaction<'a, sqlx::Postgres>, StoreError> {
    let mut tx = store.pool().begin().await?;
    sqlx::query("INSERT INTO paid VALUES($1, 5)").bind(claim.key().as_str()).execute(&mut *tx).await?;
    store.complete_in(&mut tx, claim, &answer()).await?;
    Ok(tx)
}

//! A transaction for each request, outside of the idempotency layer or inside of it, and a caller who leaves.

use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::post,
};
use http::StatusCode;
use rusqlite::Connection;
use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Waker},
    time::Duration,
};
use steadfast::{
    idempotency::{IdempotencyLayer, Scope},
    store::memory::MemoryStore,
};
use tempfile::TempDir;
use tower::ServiceExt;

/// Rolled back unless it was committed.
#[derive(Clone)]
struct Tx(Arc<Mutex<Connection>>);

impl Tx {
    fn begin(path: &Path) -> Self {
        let conn = Connection::open(path).unwrap();
        conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(Arc::new(Mutex::new(conn)))
    }

    fn run(&self, sql: &str) {
        self.0.lock().unwrap().execute_batch(sql).unwrap();
    }
}

/// As such a middleware does it: commits after the handler, if that was successful.
async fn transaction(State(path): State<PathBuf>, mut request: Request, next: Next) -> Response {
    let tx = Tx::begin(&path);
    request.extensions_mut().insert(tx.clone());
    let response = next.run(request).await;
    if response.status().is_success() {
        tx.run("COMMIT");
    }
    response
}

async fn pay(Extension(tx): Extension<Tx>) -> StatusCode {
    tx.run("INSERT INTO payment VALUES(5)");
    tokio::time::sleep(Duration::from_secs(1)).await;
    StatusCode::CREATED
}

fn database() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("payments.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE payment(amount)").unwrap();
    (dir, path)
}

fn request() -> Request {
    Request::post("/").header("idempotency-key", "k").body(Body::empty()).unwrap()
}

/// A caller leaves while the handler runs; later the same request comes again. Its answer, whether that is a replay, and how many
/// payments there are.
async fn left_and_repeated(app: Router, layer: &IdempotencyLayer, path: &Path) -> (StatusCode, bool, i64) {
    assert!(pin!(app.clone().oneshot(request())).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    layer.drained().await;
    let again = app.oneshot(request()).await.unwrap();
    let replayed = again.headers().contains_key("idempotent-replayed");
    let count = "SELECT count(*) FROM payment";
    let paid = Connection::open(path).unwrap().query_row(count, [], |row| row.get(0)).unwrap();
    (again.status(), replayed, paid)
}

#[tokio::test(start_paused = true)]
async fn outside_of_the_layer_a_transaction_is_rolled_back_when_its_caller_leaves_and_the_key_answers_that_it_was_done()
{
    let (_dir, path) = database();
    let layer = IdempotencyLayer::new(MemoryStore::new(), Scope::shared());
    let app =
        Router::new().route("/", post(pay)).layer(layer.clone()).layer(from_fn_with_state(path.clone(), transaction));
    assert_eq!(left_and_repeated(app, &layer, &path).await, (StatusCode::CREATED, true, 0));
}

#[tokio::test(start_paused = true)]
async fn inside_of_the_layer_a_transaction_is_committed_although_its_caller_leaves() {
    let (_dir, path) = database();
    let layer = IdempotencyLayer::new(MemoryStore::new(), Scope::shared());
    let app =
        Router::new().route("/", post(pay)).layer(from_fn_with_state(path.clone(), transaction)).layer(layer.clone());
    assert_eq!(left_and_repeated(app, &layer, &path).await, (StatusCode::CREATED, true, 1));
}

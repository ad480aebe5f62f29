//! How do I make an axum POST safe to repeat?

use axum::{Router, http::StatusCode, routing::post};
use reqwest::redirect::Policy;
use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};
use steadfast::{
    error::BoxError,
    idempotency::{IdempotencyLayer, Scope},
    store::sqlite::SqliteStore,
};

static CHARGED: AtomicUsize = AtomicUsize::new(0);

// snippet: idempotent_post
async fn charge(amount: String) -> (StatusCode, String) {
    let n = CHARGED.fetch_add(1, SeqCst) + 1; // what must not happen twice
    (StatusCode::CREATED, format!("charge {n} of {amount}"))
}

fn app(store: SqliteStore) -> Router {
    // whose key it is: who is calling, as your authentication found out, and not the bytes of a credential
    let scope = Scope::by(|parts| {
        let user = parts.headers.get("x-user");
        user.map(|user| user.as_bytes().to_vec()).unwrap_or_default()
    });
    Router::new().route("/charges", post(charge)).layer(IdempotencyLayer::new(store, scope).required()) // without a key: 400
}
// end

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let folder = tempfile::tempdir()?;
    let app = app(SqliteStore::open(folder.path().join("charges.db"))?);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/charges", listener.local_addr()?);
    tokio::spawn(axum::serve(listener, app).into_future());

    let client = reqwest::Client::builder().redirect(Policy::none()).timeout(Duration::from_secs(10)).build()?;
    for _ in 0..3 {
        let request = client.post(&url).header("x-user", "ada").header("idempotency-key", "order-7");
        let answer = request.body("10 EUR").send().await?;
        let replayed = answer.headers().contains_key("idempotent-replayed");
        println!("{}: {} (replayed: {replayed})", answer.status(), answer.text().await?);
    }
    println!("charged {} time", CHARGED.load(SeqCst));
    Ok(())
}

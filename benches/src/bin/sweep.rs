//! Whether records that expire are removed as fast as new ones are completed: rows over time, under a steady rate of new keys.
use axum::{Router, body::Body, http::Request, routing::post};
use std::{
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};
use steadfast::{
    error::BoxError,
    idempotency::{IdempotencyLayer, IdempotencyStore, Scope},
    store::{
        memory::MemoryStore,
        postgres::{
            PostgresStore,
            sqlx::{self, postgres::PgPoolOptions},
        },
        sqlite::SqliteStore,
    },
};
use tower_service::Service as _;

#[path = "loopback/postgres_server.rs"]
#[allow(dead_code)]
mod postgres_server;

const KEEP: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(10);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), BoxError> {
    let mut args = std::env::args().skip(1);
    let which = args.next().unwrap_or_default();
    let rate: u64 = args.next().map_or(Ok(5_000), |n| n.parse())?;
    let seconds: u64 = args.next().map_or(Ok(60), |n| n.parse())?;
    println!("{which}: {rate} new keys a second, kept for {KEEP:?}: {} are alive", rate * KEEP.as_secs());
    match which.as_str() {
        "memory" => {
            let store = MemoryStore::new();
            let counted = store.clone();
            run(store, rate, seconds, async move || Ok(counted.records() as u64)).await
        }
        "sqlite" => {
            let dir = tempfile::tempdir_in(std::env::current_dir()?)?;
            let store = SqliteStore::open(dir.path().join("sweep.db"))?;
            let counted = store.clone();
            let rows = async move || {
                let count = "SELECT count(*) FROM steadfast_idempotency";
                Ok(counted.read(move |conn| Ok(conn.query_row(count, [], |row| row.get::<_, i64>(0))?)).await? as u64)
            };
            run(store, rate, seconds, rows).await
        }
        "postgres" => {
            let server = postgres_server::PostgresServer::start()?;
            let pool = PgPoolOptions::new().max_connections(10).connect(&server.url()).await?;
            let store = PostgresStore::new(pool.clone());
            store.migrate().await?;
            let rows = async move || {
                let count = "SELECT count(*) FROM steadfast_idempotency";
                Ok(sqlx::query_scalar::<_, i64>(count).fetch_one(&pool).await? as u64)
            };
            run(store, rate, seconds, rows).await
        }
        _ => Err("memory, sqlite or postgres; keys a second; seconds".into()),
    }
}

async fn run(
    store: impl IdempotencyStore,
    rate: u64,
    seconds: u64,
    rows: impl AsyncFn() -> Result<u64, BoxError>,
) -> Result<(), BoxError> {
    let layer = IdempotencyLayer::new(store, Scope::shared()).with_keep(KEEP);
    let app = Router::new().route("/", post(|| async { "{\"paid\":true}" })).layer(layer);
    let (done, failed) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let began = Instant::now();
    let (mut sent, mut next, mut before) = (0_u64, 0, 0);
    println!("{:>6} {:>12} {:>8} {:>8}", "s", "done a s", "failed", "rows");
    while began.elapsed() < Duration::from_secs(seconds) {
        // as many as the rate asks for by now, if the store keeps up: at most 500 at once
        let due = (began.elapsed().as_secs_f64() * rate as f64) as u64;
        while sent < due && sent < done.load(Relaxed) + failed.load(Relaxed) + 500 {
            sent += 1;
            let (mut app, done, failed) = (app.clone(), done.clone(), failed.clone());
            tokio::spawn(async move {
                let request = Request::post("/").header("idempotency-key", format!("{sent}")).body(Body::empty()).unwrap();
                let status = app.call(request).await.unwrap().status();
                if status.is_success() { &done } else { &failed }.fetch_add(1, Relaxed);
            });
        }
        if began.elapsed().as_secs() >= next {
            next += 5;
            let now = done.load(Relaxed);
            println!("{:>6} {:>12} {:>8} {:>8}", began.elapsed().as_secs(), (now - before) / 5, failed.load(Relaxed), rows().await?);
            before = now;
        }
        tokio::time::sleep(TICK).await;
    }
    println!("{:>6} {:>12} {:>8} {:>8}", began.elapsed().as_secs(), "", failed.load(Relaxed), rows().await?);
    Ok(())
}

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
            sqlx::{
                self,
                postgres::{PgConnectOptions, PgPoolOptions},
            },
        },
        sqlite::{SqliteStore, rusqlite::Connection},
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
    let backlog: i64 = args.next().map_or(Ok(0), |n| n.parse())?;
    println!("{which}: {rate} new keys a second, kept for {KEEP:?}: {} are alive", rate * KEEP.as_secs());
    match which.as_str() {
        "memory" => {
            let store = MemoryStore::new();
            let counted = store.clone();
            run(store, rate, seconds, async move || Ok(counted.records() as u64)).await
        }
        "sqlite" => {
            let dir = tempfile::tempdir_in(std::env::current_dir()?)?;
            let path = dir.path().join("sweep.db");
            let store = SqliteStore::open(&path)?;
            let expired = "INSERT INTO steadfast_idempotency (key, fp_version, fp, token, attempt, state, lease_until, expires_at)
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                SELECT randomblob(32), 1, x'', x'', 1, 2, 0, 1 FROM n WHERE ?1 > 0";
            Connection::open(&path)?.execute(expired, [backlog])?;
            let counted = store.clone();
            let rows = async move || {
                let count = "SELECT count(*) FROM steadfast_idempotency";
                Ok(counted.read(move |conn| Ok(conn.query_row(count, [], |row| row.get::<_, i64>(0))?)).await? as u64)
            };
            run(store, rate, seconds, rows).await
        }
        "postgres" => {
            let server = postgres_server::PostgresServer::start()?;
            // without a wait for the disk in each commit, which would bound the rate long before the sweep does
            let options: PgConnectOptions = server.url().parse()?;
            let options = options.options([("synchronous_commit", "off")]);
            let pool = PgPoolOptions::new().max_connections(10).connect_with(options).await?;
            let store = PostgresStore::new(pool.clone());
            store.migrate().await?;
            let expired = "INSERT INTO steadfast_idempotency (key, fp_version, fp, token, attempt, state, lease_until, expires_at)
                SELECT sha256(n::text::bytea), 1, '', '', 1, 2, now(), now() FROM generate_series(1, $1) n";
            sqlx::query(expired).bind(backlog).execute(&pool).await?;
            let rows = async move || {
                let count = "SELECT count(*) FROM steadfast_idempotency";
                Ok(sqlx::query_scalar::<_, i64>(count).fetch_one(&pool).await? as u64)
            };
            run(store, rate, seconds, rows).await
        }
        "peak" => peak(seconds).await,
        _ => Err("memory, sqlite, postgres or peak; keys a second; seconds".into()),
    }
}

/// A million records at once in memory, then few new ones: what the process holds on to.
async fn peak(seconds: u64) -> Result<(), BoxError> {
    let store = MemoryStore::new();
    let layer = IdempotencyLayer::new(store.clone(), Scope::shared()).with_keep(Duration::from_secs(20));
    let mut app = Router::new().route("/", post(|| async { "{\"paid\":true}" })).layer(layer);
    println!("{:>6} {:>10} {:>8}", "s", "records", "RSS MB");
    let began = Instant::now();
    let (mut sent, mut next) = (0_u64, 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        if began.elapsed().as_secs() >= next {
            next += 2;
            println!("{:>6} {:>10} {:>8}", began.elapsed().as_secs(), store.records(), resident()?);
        }
        for _ in 0..100 {
            sent += 1;
            let request = Request::post("/").header("idempotency-key", format!("{sent}")).body(Body::empty())?;
            app.call(request).await?;
        }
        if sent >= 1_000_000 {
            tokio::time::sleep(TICK * 10).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// In megabytes.
fn resident() -> Result<u64, BoxError> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
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
                let request =
                    Request::post("/").header("idempotency-key", format!("{sent}")).body(Body::empty()).unwrap();
                let status = app.call(request).await.unwrap().status();
                if status.is_success() { &done } else { &failed }.fetch_add(1, Relaxed);
            });
        }
        if began.elapsed().as_secs() >= next {
            next += 5;
            let now = done.load(Relaxed);
            println!(
                "{:>6} {:>12} {:>8} {:>8}",
                began.elapsed().as_secs(),
                (now - before) / 5,
                failed.load(Relaxed),
                rows().await?
            );
            before = now;
        }
        tokio::time::sleep(TICK).await;
    }
    println!("{:>6} {:>12} {:>8} {:>8}", began.elapsed().as_secs(), "", failed.load(Relaxed), rows().await?);
    Ok(())
}

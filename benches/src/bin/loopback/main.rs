//! How many keyed POSTs a second a server takes over loopback: with the layer over each store, and without it.
//!
//! `loopback [connections] [seconds] [rounds]`. Redis and Postgres are private servers, started from the installed binaries.
mod client;
mod postgres_server;
#[path = "../../../../tests/servers/redis.rs"]
mod redis_server;

use axum::{Json, Router, http::StatusCode, routing::post};
use client::{Keys, Load};
use postgres_server::PostgresServer;
use redis_server::RedisServer;
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use steadfast::{
    error::BoxError,
    idempotency::{IdempotencyLayer, IdempotencyStore, Scope},
    store::{
        memory::MemoryStore,
        postgres::{
            PostgresStore,
            sqlx::{self, PgPool, postgres::PgPoolOptions},
        },
        redis::RedisStore,
        sqlite::SqliteStore,
    },
};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut args = std::env::args().skip(1);
    let mut arg = |default: &str| args.next().unwrap_or(default.to_owned()).parse::<u64>();
    let (connections, seconds, rounds) = (arg("64")?, arg("3")?, arg("3")?);
    let load = Load { connections, lasts: Duration::from_secs(seconds) };

    let here = tempfile::tempdir_in(".")?;
    let sqlite = SqliteStore::open(here.path().join("bench.db"))?;
    let (forgets, keeps) = (RedisServer::start(), RedisServer::persistent());
    let pg_server = PostgresServer::start()?;
    let pool = PgPoolOptions::new().max_connections(16).connect(&pg_server.url()).await?;
    let postgres = PostgresStore::new(pool.clone());
    postgres.migrate().await?;

    let keyed = |store| served(Some(store));
    let servers = [
        ("no layer", served(None).await?),
        ("memory", keyed(boxed(MemoryStore::new())).await?),
        ("Redis, nothing on disk", keyed(boxed(RedisStore::connect(forgets.url()).await?)).await?),
        ("Redis, appendfsync always", keyed(boxed(RedisStore::connect(keeps.url()).await?)).await?),
        ("SQLite", keyed(boxed(sqlite)).await?),
        ("Postgres", keyed(boxed(postgres)).await?),
    ];
    println!("{connections} connections, {seconds} s each\n");
    println!("| store | round | miss/s | of no layer | hit/s | of no layer |\n| --- | --- | --- | --- | --- | --- |");
    for round in 1..=rounds {
        let mut base = None;
        for (store, address) in servers {
            let misses = load.rate(address, Keys::New).await?;
            let hits = load.rate(address, Keys::Same).await?;
            let (all_misses, all_hits) = *base.get_or_insert((misses, hits));
            let shares = (misses / all_misses, hits / all_hits);
            println!("| {store} | {round} | {misses:.0} | {:.2} | {hits:.0} | {:.2} |", shares.0, shares.1);
        }
    }
    let (redis, postgres) = (redis_calls(&forgets, &load, servers[2].1), postgres_calls(&pool, &load, servers[5].1));
    println!("\n| asked a request | miss | hit |\n| --- | --- | --- |");
    for (server, (miss, hit)) in [("Redis", redis.await?), ("Postgres", postgres.await?)] {
        println!("| {server} | {miss:.3} | {hit:.3} |");
    }
    Ok(())
}

fn boxed(store: impl IdempotencyStore) -> Arc<dyn IdempotencyStore> {
    Arc::new(store)
}

#[derive(Deserialize)]
struct Charge {
    amount: u64,
}

#[derive(Serialize)]
struct Charged {
    id: u64,
    amount: u64,
}

async fn charge(Json(charge): Json<Charge>) -> (StatusCode, Json<Charged>) {
    (StatusCode::CREATED, Json(Charged { id: 4711, amount: charge.amount }))
}

/// A server of its own on a free port.
async fn served(store: Option<Arc<dyn IdempotencyStore>>) -> Result<SocketAddr, BoxError> {
    let app = Router::new().route("/charge", post(charge));
    let app = match store {
        Some(store) => app.layer(IdempotencyLayer::new(store, Scope::shared()).required()),
        None => app,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(address)
}

/// Scripts that Redis ran for each request.
async fn redis_calls(server: &RedisServer, load: &Load, address: SocketAddr) -> Result<(f64, f64), BoxError> {
    let mut of = [0.0; 2];
    for (calls, keys) in of.iter_mut().zip([Keys::New, Keys::Same]) {
        let before = server.calls("evalsha");
        let requests = load.run(address, keys).await?;
        *calls = (server.calls("evalsha") - before) as f64 / requests as f64;
    }
    Ok((of[0], of[1]))
}

/// Transactions that Postgres committed for each request: every statement is one.
async fn postgres_calls(pool: &PgPool, load: &Load, address: SocketAddr) -> Result<(f64, f64), BoxError> {
    let committed = || async {
        // a process of the server that has nothing to do reports within ten seconds
        tokio::time::sleep(Duration::from_secs(12)).await;
        let sql = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(pool).await
    };
    let mut of = [0.0; 2];
    for (calls, keys) in of.iter_mut().zip([Keys::New, Keys::Same]) {
        let before = committed().await?;
        let requests = load.run(address, keys).await?;
        *calls = (committed().await? - before) as f64 / requests as f64;
    }
    Ok((of[0], of[1]))
}

//! The Postgres store: a real server, real kills.
#![cfg(all(feature = "postgres", feature = "idempotency", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod contracts;
#[path = "../servers/postgres.rs"]
mod postgres_server;
mod schema;

use postgres_server::shared;
use steadfast::store::postgres::PostgresStore;

/// A store in a new database of the shared server.
async fn store() -> PostgresStore {
    let store = PostgresStore::new(shared().pool().await);
    store.migrate().await.unwrap();
    store
}

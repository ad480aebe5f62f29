//! The Postgres store: a real server, real kills.
#![cfg(all(feature = "postgres", feature = "idempotency", feature = "queue", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "a test fails by panicking"
)]

#[path = "../servers/postgres.rs"]
mod postgres_server;
mod queue;
mod queue_transactions;
mod schema;

//! The Postgres store: a real server, real kills.
#![cfg(all(feature = "postgres", feature = "idempotency", feature = "queue", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod accept;
mod callers;
mod contracts;
mod down;
mod errors;
mod outage;
#[path = "../servers/pgbouncer.rs"]
mod pgbouncer_server;
mod pooler;
#[path = "../servers/postgres.rs"]
mod postgres_server;
mod processes;
#[path = "../servers/proxy.rs"]
mod proxy;
mod queue;
mod queue_faults;
mod queue_keys;
mod queue_processes;
mod queue_transactions;
mod races;
mod schema;
mod statements;
mod support;
mod sweep;
mod transaction;

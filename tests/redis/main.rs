//! The Redis store: real servers, real kills, a network that loses what it carries.
#![cfg(all(feature = "redis", feature = "idempotency", feature = "testing", feature = "axum"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod contract;
mod down;
mod failover;
mod fsync;
mod late;
mod limits;
mod lost;
mod names;
mod processes;
#[path = "../servers/proxy.rs"]
mod proxy;
mod records;
#[path = "../servers/redis.rs"]
mod redis_server;
mod restart;
mod round_trips;
mod servers;
mod support;
mod values;

//! The Redis store: real servers, real kills, a network that loses what it carries.
#![cfg(all(feature = "redis", feature = "idempotency", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "a test fails by panicking"
)]

#[path = "../servers/proxy.rs"]
mod proxy;
#[path = "../servers/redis.rs"]
mod redis_server;
mod servers;

//! Queue, worker, accept and dead letters, over the memory store.
#![cfg(all(feature = "queue", feature = "circuit-breaker", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod accept;
mod dead_letters;
mod deliver;
mod lease;
mod limits;
mod memory;
mod outage;
mod panics;
mod readiness;
mod settle;
mod shutdown;
mod store_errors;
mod support;

//! What a caller sees of the idempotency pattern, on servers and on clients, and what its stores keep.
#![cfg(all(feature = "idempotency", feature = "testing", feature = "axum", feature = "tonic", feature = "reqwest"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    unreachable_pub,
    reason = "tests say what is wrong by panicking"
)]

mod answers;
mod client;
mod client_retry;
mod coding;
mod detached;
mod full;
mod grpc_streams;
mod keys;
mod late;
mod memory;
mod not_sent;
mod open;
mod phases;
mod places;
mod recovery;
mod scope;
mod scripted;
mod sealed;
mod secrets;
mod settings;
mod store_down;
mod streams;
mod support;
mod sweeps;
mod telemetry;
mod trailers;
mod transaction;
mod unknown;
mod waiting;

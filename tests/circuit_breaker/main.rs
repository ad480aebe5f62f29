//! The circuit breaker, from outside.
#![cfg(all(
    feature = "circuit-breaker",
    feature = "serde",
    feature = "metrics",
    feature = "reqwest",
    feature = "tonic",
    feature = "axum"
))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests fail by panicking")]

mod beside;
mod bodies;
mod circuits;
mod layer;
mod machine;
mod model;
mod places;
mod scenarios;
mod settings;
mod support;
mod telemetry;
mod threads;
mod thresholds;

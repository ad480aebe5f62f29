//! The circuit breaker, from outside.
#![cfg(all(
    feature = "circuit-breaker",
    feature = "retry",
    feature = "serde",
    feature = "metrics",
    feature = "reqwest",
    feature = "tonic",
    feature = "axum"
))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests fail by panicking")]

mod beside;
mod beside_bodies;
mod bodies;
mod by_hand;
mod capacity;
mod circuits;
mod cost;
mod handles;
mod heads;
mod layer;
mod listeners;
mod machine;
mod model;
mod origins;
mod outage;
mod pend;
mod places;
mod ramp;
mod readers;
mod readers_grpc;
mod redirects;
mod scenarios;
mod settings;
mod support;
mod telemetry;
mod threads;
mod thresholds;

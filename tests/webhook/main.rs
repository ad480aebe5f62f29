//! What `VerifyLayer` lets through, and what it answers to the rest.
#![cfg(all(feature = "webhook", feature = "queue", feature = "axum"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod connection;
mod dedupe;
mod github;
mod layer;
mod support;

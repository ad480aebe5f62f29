//! Tower middleware for integrations that don't fail.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod answer;
pub mod attempt;
pub mod backoff;
pub mod body;
#[cfg(feature = "circuit-breaker")]
pub mod circuit_breaker;
pub mod classify;
#[cfg(feature = "queue")]
pub mod dead_letter;
pub mod dedupe;
#[cfg(any(feature = "idempotency", feature = "queue"))]
mod encoding;
pub mod error;
mod foreign;
pub mod guide;
#[cfg(feature = "idempotency")]
pub mod idempotency;
pub mod place;
#[cfg(feature = "queue")]
pub mod queue;
pub mod registry;
#[cfg(feature = "retry")]
pub mod retry;
pub mod setting;
#[cfg(all(feature = "retry", feature = "circuit-breaker", feature = "idempotency"))]
pub mod stack;
pub mod store;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod timeout;
#[cfg(any(feature = "idempotency", feature = "queue"))]
mod token;
#[cfg(feature = "webhook")]
pub mod webhook;

pub use registry::registry;

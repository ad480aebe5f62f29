//! What the retry layer does, through the public API only.
#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test may panic")]
#![allow(unreachable_pub, reason = "modules of one binary")]

mod bodies;
mod budget;
mod by_error;
mod course;
mod deadlines;
mod delays;
mod hedge;
mod hints;
mod marker;
mod nesting;
mod overrides;
mod places;
mod places_grpc;
mod prepare;
mod readiness;
mod reading;
mod safety;
mod script;
mod server;
mod statics;
mod telemetry;
mod tower_adapters;
mod uploads;

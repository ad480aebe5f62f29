//! What a caller sees of the idempotency pattern, on servers and on clients, and what its stores keep.
#![cfg(all(feature = "idempotency", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests say what is wrong by panicking")]

mod memory;

//! Payments whose process is killed at random moments: each is made once, and each has one receipt.
//!
//! 20 kills, or as many as `STEADFAST_KILLS` says; `STEADFAST_SEED` repeats the moments of a run that was printed.

#![cfg(all(feature = "full", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod client;
mod kills;
mod postgres;
mod receipts;
mod sqlite;

#[path = "../servers/example.rs"]
mod example;
#[path = "../servers/postgres.rs"]
mod postgres_server;

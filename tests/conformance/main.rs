//! The layer as a black box: the example `conformance_server`, a process over each store, is sent bytes over sockets.

#![cfg(all(feature = "full", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod answers;
mod arguments;
mod connections;
mod crash;
mod flight;
mod keys;
mod page;
mod server;
mod wire;

#[path = "../servers/example.rs"]
mod example;
#[path = "../servers/postgres.rs"]
mod postgres_server;
#[path = "../servers/redis.rs"]
mod redis_server;

//! "Never sent" needs proof: real clients over real sockets, before and after the request was on the wire, directly and behind
//! redirects. A request that is not repeatable is executed at most once in all of them.
#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests fail by panicking")]

mod clients;
mod compositions;
mod connecting;
mod handlers;
mod redirects;
mod server;
mod status_errors;
mod wire;
mod wrappers;

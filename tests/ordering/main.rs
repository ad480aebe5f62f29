//! `docs/ordering.md`: the order of the layers of a client, and what goes wrong in every other one.
#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests fail by panicking")]

mod attempt;
mod circuit;
mod deadline;
mod key;
mod limit;
mod other_side;
mod overrides;
mod page;
mod stack;
mod transaction;

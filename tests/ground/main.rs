//! The ground floor, held to what its docs say: outcomes, errors, hints, delays, deadlines, bodies, settings.
#![cfg(all(feature = "reqwest", feature = "tonic", feature = "tower", feature = "serde", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod answer;
mod attempt;
mod backoff;
mod body;
mod error;
mod errors;
mod hints;
mod lost;
mod outcomes;
mod read_timeouts;
mod registry;
mod setting;
mod table;
mod time;
mod timeout;
mod told;
mod unknown_body;
mod watch;

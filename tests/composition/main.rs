//! Random stacks of this crate's layers and tower's, over scripted servers, with callers that leave, read half of a
//! response and keep their instance: in paused time, with the same trace for the same seed.
//!
//! ```sh
//! cargo test --all-features --test composition                        # 2,000 seeds
//! SEEDS=100000 cargo test --release --all-features --test composition random
//! SEED=4711 cargo test --all-features --test composition random       # one of them, with its trace
//! ```
//!
//! | rule | holds when |
//! | --- | --- |
//! | `once` | a POST without a key is executed at most once, and one with a key under one key |
//! | `claim` | a result that is classified as refused or never sent belongs to a request that no server executed |
//! | `readiness` | the instance that returned `Ready` is the one that is called, once |
//! | `deadline` | a call ends by its deadline, and nothing is sent after it |
//! | `held` | no instance is reserved and no place is taken while a call waits, or when none is under way |
//! | `kept` | no response is held when its request is sent again, and no request after its call |
//! | `budget`, `caps`, `probes`, `tasks`, `scope` | everything is given back at the end |
//! | `closes`, `healthy`, `flawless` | circuits close when the servers are healthy, and then no call is refused |
//! | `attempts`, `siblings` | nested calls do not multiply, and calls beside each other have all their attempts |
//! | `body` | a body arrives whole, at its own request |
//! | `deadlock`, `panic` | every run ends |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod beside;
mod caller;
mod claims;
mod dice;
mod element;
mod found;
mod handler;
mod hops;
mod leaf;
mod link;
mod mutants;
mod payload;
mod places;
mod plan;
mod reply;
mod run;
mod script;
mod seeds;
mod server;
mod siblings;
mod wire;
mod world;

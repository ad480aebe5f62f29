//! What the child's layers tell through `tracing`, passed on to the parent as lines: a line that was written survives a kill.

use std::{
    io::Write,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use steadfast::error::BoxError;
use tracing_subscriber::{Layer, layer::Context, prelude::*};

/// The events that are counted, by their message.
const COUNTED: [&str; 4] = ["attempt", "retry", "circuit opened", "stale settle refused"];

#[derive(Debug, Default)]
pub struct Tally([AtomicU64; COUNTED.len()]);

impl Tally {
    pub fn count(&self, line: &str) {
        if let Some(i) = COUNTED.iter().position(|counted| *counted == line) {
            self.0[i].fetch_add(1, Relaxed);
        }
    }

    pub fn of(&self, message: &str) -> u64 {
        COUNTED.iter().zip(&self.0).filter(|(counted, _)| **counted == message).map(|(_, n)| n.load(Relaxed)).sum()
    }
}

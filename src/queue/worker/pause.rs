use crate::{
    backoff::{Backoff, Exponential},
    queue::config::store_backoff,
};
use std::time::Duration;
use tokio::time::sleep;

/// Waits that grow for as long as something goes on failing.
pub(super) struct Pause {
    backoff: Exponential,
    random: fastrand::Rng,
    failures: u32,
}

impl Pause {
    pub(super) fn new(random: fastrand::Rng) -> Self {
        Self { backoff: store_backoff(), random, failures: 0 }
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// At least this long.
    pub(super) async fn wait(&mut self, at_least: Duration) {
        self.failures = self.failures.saturating_add(1);
        let own = self.backoff.delay(self.failures, Duration::ZERO, &mut self.random);
        sleep(own.max(at_least)).await;
    }
}

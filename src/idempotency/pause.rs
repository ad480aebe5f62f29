use crate::backoff::{Backoff, Exponential};
use std::time::Duration;
use tokio::time::sleep;

/// Between two tries of something that must be done or known: 50 ms doubling to `most`, spread, so that a store that comes back
/// is not met by all at once.
pub(super) struct Pause {
    backoff: Exponential,
    random: fastrand::Rng,
    tries: u32,
}

const FIRST: Duration = Duration::from_millis(50);

impl Pause {
    pub(super) fn up_to(most: Duration) -> Self {
        let backoff = Exponential::new(FIRST, most).unwrap_or_default().with_floor(FIRST);
        Self { backoff, random: fastrand::Rng::new(), tries: 0 }
    }

    pub(super) fn next(&mut self) -> Duration {
        self.tries = self.tries.saturating_add(1);
        self.backoff.delay(self.tries, Duration::ZERO, &mut self.random)
    }

    pub(super) async fn wait(&mut self) {
        sleep(self.next()).await;
    }
}

/// For a store that is away: 5 s at most.
impl Default for Pause {
    fn default() -> Self {
        Self::up_to(Duration::from_secs(5))
    }
}

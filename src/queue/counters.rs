use super::Stats;
use crate::{registry::Value, sync::Lock};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// What this process did with a queue, for the registry.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) enqueued: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) unstored: AtomicU64,
    pub(super) running: AtomicU64,
    pub(super) done: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) parked: AtomicU64,
    pub(super) dead: AtomicU64,
    pub(super) lost: AtomicU64,
    /// Whether the last request could not be made into a message.
    unmade: AtomicBool,
    /// The last enqueue was not stored.
    failing: AtomicBool,
    found: Lock<Option<Stats>>,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn take(counter: &AtomicU64) {
        counter.fetch_sub(1, Relaxed);
    }

    /// Returns whether that is a change.
    pub(super) fn is_unmade(&self, unmade: bool) -> bool {
        self.unmade.load(Relaxed) != unmade && self.unmade.swap(unmade, Relaxed) != unmade
    }

    /// Whether the enqueue before this one, which failed, was stored.
    pub(super) fn is_first_failure(&self) -> bool {
        !self.failing.swap(true, Relaxed)
    }

    /// Whether the enqueue before this one, which was stored, failed.
    pub(super) fn was_failing(&self) -> bool {
        self.failing.load(Relaxed) && self.failing.swap(false, Relaxed)
    }

    pub(super) fn found(&self, stats: Stats) {
        self.found.with(|found| *found = Some(stats));
    }

    pub(super) fn state(&self) -> Vec<(&'static str, Value)> {
        let of = |counter: &AtomicU64| Value::from(counter.load(Relaxed));
        let mut state = vec![
            ("enqueued_total", of(&self.enqueued)),
            ("duplicates_total", of(&self.duplicates)),
            ("unstored_total", of(&self.unstored)),
            ("running", of(&self.running)),
            ("done_total", of(&self.done)),
            ("retried_total", of(&self.retried)),
            ("parked_total", of(&self.parked)),
            ("dead_total", of(&self.dead)),
            ("lease_lost_total", of(&self.lost)),
        ];
        if let Some(stats) = self.found.with(|found| *found) {
            state.extend([
                ("ready", stats.ready.into()),
                ("scheduled", stats.scheduled.into()),
                ("parked", stats.parked.into()),
                ("claimed", stats.claimed.into()),
                ("done", stats.done.into()),
                ("dead", stats.dead.into()),
            ]);
        }
        state
    }
}

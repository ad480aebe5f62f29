use crate::{
    backoff::{Backoff, Exponential, Jitter},
    panic::caught,
    telemetry::event,
};
use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::available_parallelism,
    time::Duration,
};

#[cfg(test)]
mod tests;

/// The settings of a worker. The fields are set through `Worker::with_*`, which documents them.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) concurrency: usize,
    pub(super) lease: Duration,
    pub(super) max_attempts: u32,
    pub(super) backoff: Arc<dyn Backoff>,
    pub(super) attempt_limit: Duration,
    pub(super) park_for: Duration,
    pub(super) drain: Duration,
    pub(super) keep_done: Duration,
    pub(super) seed: Option<u64>,
}

/// Attempts mostly wait for others: a few a core keep it busy, and few enough not to be a storm of their own.
const CONCURRENCY_PER_CORE: usize = 4;
/// A worker that dies is noticed after this long; extended every 10 s.
const LEASE: Duration = Duration::from_secs(30);
/// No lease is shorter: it has to outlast a slow commit.
const MIN_LEASE: Duration = Duration::from_millis(100);
/// Nor longer: a worker that died is to be noticed the same day.
const MAX_LEASE: Duration = Duration::from_secs(24 * 3600);
/// With the default backoff they outlast an outage of a day: the shortest of 20,000 simulated runs lasts 26 hours.
const MAX_ATTEMPTS: u32 = 25;
/// The first and the longest step of the default backoff, before jitter.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4 * 3600));
/// Longer than any attempt timeout of a client should be.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(60);
/// The wait after a no that names none: as long as a circuit stays open.
const PARK_FOR: Duration = Duration::from_secs(30);
/// What most orchestrators grant between SIGTERM and SIGKILL.
const DRAIN: Duration = Duration::from_secs(30);
/// Long enough to look at what was done yesterday.
const KEEP_DONE: Duration = Duration::from_secs(24 * 3600);

impl Config {
    pub(super) fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease.clamp(MIN_LEASE, MAX_LEASE);
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            concurrency: cores * CONCURRENCY_PER_CORE,
            lease: LEASE,
            max_attempts: MAX_ATTEMPTS,
            // equal jitter: under full jitter the longest steps may come to nothing, and the attempts to less than a day
            backoff: Arc::new(message_backoff()),
            attempt_limit: ATTEMPT_LIMIT,
            park_for: PARK_FOR,
            drain: DRAIN,
            keep_done: KEEP_DONE,
            seed: None,
        }
    }
}

fn message_backoff() -> Exponential {
    backoff(BACKOFF.0, BACKOFF.1).with_jitter(Jitter::Equal)
}

/// A backoff of the user's. If it panics, the default one takes its place for that wait: the message was attempted, and has to
/// be settled.
#[derive(Debug)]
pub(super) struct UserBackoff<B> {
    backoff: B,
    panics: AtomicBool,
}

impl<B> UserBackoff<B> {
    pub(super) const fn new(backoff: B) -> Self {
        Self { backoff, panics: AtomicBool::new(false) }
    }
}

impl<B: Backoff> Backoff for UserBackoff<B> {
    fn delay(&self, retry: u32, previous: Duration, random: &mut fastrand::Rng) -> Duration {
        let own = caught(|| self.backoff.delay(retry, previous, random));
        let changed = self.panics.swap(own.is_err(), Relaxed) != own.is_err();
        own.unwrap_or_else(|panic| {
            if changed {
                event!(
                    ERROR,
                    "the backoff of a worker panicked: the default one takes its place",
                    error = panic.to_string()
                );
            }
            message_backoff().delay(retry, previous, random)
        })
    }
}

/// How long a worker waits before it asks a store again that failed: short, so that it works again soon after an outage.
pub(super) fn store_backoff() -> Exponential {
    backoff(Duration::from_millis(100), Duration::from_secs(2)).with_jitter(Jitter::Equal)
}

fn backoff(min: Duration, max: Duration) -> Exponential {
    Exponential::new(min, max).unwrap_or_default()
}

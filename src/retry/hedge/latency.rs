use std::{
    array, fmt,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The running 95th percentile of durations, in a histogram of which each step is an eighth of a power of two. Pure: it is
/// told the durations. Recording is two atomic additions, and a walk through the histogram once in [`EVERY`] times; calls that
/// race leave the estimate an estimate.
pub(super) struct Latency {
    steps: [AtomicU32; STEPS],
    recorded: AtomicU32,
    /// In microseconds; 0 while it is not known.
    p95: AtomicU64,
}

/// Durations between two looks at the histogram, and before the first one.
const EVERY: u32 = 64;

/// With so many in the histogram all counts are halved, so that it follows what changes.
const WINDOW: u64 = 1024;

/// Bits of a duration that are told apart below the highest one.
const FINE: u32 = 3;

/// Up to 2^32 microseconds, more than an hour; all that is longer is that long.
const STEPS: usize = (32 - FINE as usize + 1) << FINE;

impl Latency {
    pub(super) fn new() -> Self {
        let steps = array::from_fn(|_| AtomicU32::new(0));
        Self { steps, recorded: AtomicU32::new(0), p95: AtomicU64::new(0) }
    }

    pub(super) fn record(&self, took: Duration) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        if let Some(step) = self.steps.get(step_of(micros)) {
            step.fetch_add(1, Relaxed);
        }
        if self.recorded.fetch_add(1, Relaxed) % EVERY == EVERY - 1 {
            self.look();
        }
    }

    /// `None` until there were enough of them.
    pub(super) fn p95(&self) -> Option<Duration> {
        Some(self.p95.load(Relaxed)).filter(|micros| *micros > 0).map(Duration::from_micros)
    }

    fn look(&self) {
        let counts = self.steps.each_ref().map(|step| step.load(Relaxed));
        let total: u64 = counts.iter().copied().map(u64::from).sum();
        let mut slower = total;
        let found = counts.iter().position(|count| {
            slower -= u64::from(*count);
            slower * 20 <= total
        });
        if let Some(step) = found {
            self.p95.store(upper_end(step), Relaxed);
        }
        if total >= WINDOW {
            for (step, count) in self.steps.iter().zip(counts) {
                let half = count - count / 2;
                // another walk may be at the same: never below nothing
                _ = step.fetch_update(Relaxed, Relaxed, |now| Some(now.saturating_sub(half)));
            }
        }
    }
}

/// Durations below 2^FINE have a step of their own; above, each power of two is split into 2^FINE.
const fn step_of(micros: u32) -> usize {
    let high = match micros.checked_ilog2() {
        Some(high) if high >= FINE => high,
        _ => return micros as usize,
    };
    let below = high - FINE;
    (((below + 1) << FINE) + ((micros >> below) - (1 << FINE))) as usize
}

/// The first duration, in microseconds, that is beyond the step.
const fn upper_end(step: usize) -> u64 {
    let step = step as u64 + 1;
    if step <= 1 << FINE {
        return step;
    }
    let below = (step >> FINE) - 1;
    ((step & ((1 << FINE) - 1)) + (1 << FINE)) << below
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latency").field("p95", &self.p95()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

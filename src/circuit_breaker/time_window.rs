use super::{state::nanos, window::Counts};
use std::time::Duration;

/// The calls of the last while, counted in buckets; bucket `n` holds what ended in `[n * width, (n + 1) * width)`.
#[derive(Debug)]
pub(super) struct TimeWindow {
    buckets: Box<[Bucket]>,
    width: u64,
    /// The number of the newest bucket, its place, and where it ends.
    newest: u64,
    place: usize,
    end: u64,
    counts: Counts,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    total: u32,
    failed: u32,
    slow: u32,
}

impl TimeWindow {
    pub(super) fn new(length: Duration, buckets: u32) -> Self {
        let width = (nanos(length) / u64::from(buckets)).max(1);
        let buckets = vec![Bucket::default(); buckets as usize].into();
        Self { buckets, width, newest: 0, place: 0, end: width, counts: Counts::default() }
    }

    pub(super) fn counts(&mut self, now: u64) -> Counts {
        self.roll(now);
        self.counts
    }

    pub(super) fn add(&mut self, now: u64, failed: bool, slow: bool) -> u64 {
        self.roll(now);
        let bucket = &mut self.buckets[self.place];
        // four thousand million calls in one bucket: the rest of it is as if it had not been
        if bucket.total < u32::MAX {
            bucket.total += 1;
            bucket.failed += u32::from(failed);
            bucket.slow += u32::from(slow);
            self.counts.add(failed, slow);
        }
        self.newest
    }

    /// So many that went well, in the newest bucket.
    pub(super) fn add_good(&mut self, calls: u32) {
        let bucket = &mut self.buckets[self.place];
        let fit = calls.min(u32::MAX - bucket.total);
        bucket.total += fit;
        self.counts.total += u64::from(fit);
    }

    /// Until then calls go into the newest bucket.
    pub(super) const fn lasts_until(&self) -> u64 {
        self.end
    }

    pub(super) const fn held(&self) -> Counts {
        self.counts
    }

    pub(super) fn amend(&mut self, now: u64, sample: u64) {
        self.roll(now);
        let Some(bucket) = self.bucket(sample).map(|place| &mut self.buckets[place]) else { return };
        if bucket.failed < bucket.total {
            bucket.failed += 1;
            self.counts.failed += 1;
        }
    }

    pub(super) fn copy_into(&self, other: &mut Self) {
        let n = self.buckets.len() as u64;
        for number in self.newest.saturating_sub(n - 1)..=self.newest {
            let Some(bucket) = self.bucket(number).map(|place| self.buckets[place]) else { continue };
            other.roll(number.saturating_mul(self.width));
            let into = &mut other.buckets[other.place];
            into.total = into.total.saturating_add(bucket.total);
            into.failed = into.failed.saturating_add(bucket.failed);
            into.slow = into.slow.saturating_add(bucket.slow);
            let Bucket { total, failed, slow } = bucket;
            other.counts.total += u64::from(total);
            other.counts.failed += u64::from(failed);
            other.counts.slow += u64::from(slow);
        }
    }

    pub(super) fn clear(&mut self) {
        self.buckets.fill(Bucket::default());
        self.counts = Counts::default();
    }

    /// The place of bucket `number`, if it is still in the window.
    fn bucket(&self, number: u64) -> Option<usize> {
        let n = self.buckets.len();
        let age = usize::try_from(self.newest.checked_sub(number)?).ok()?;
        (age < n).then(|| (self.place + n - age) % n)
    }

    /// Makes the bucket of `now` the newest; what is older than the window leaves.
    fn roll(&mut self, now: u64) {
        if now < self.end {
            return;
        }
        let number = now / self.width;
        let passed = usize::try_from(number - self.newest).unwrap_or(usize::MAX).min(self.buckets.len());
        for _ in 0..passed {
            self.place = if self.place + 1 == self.buckets.len() { 0 } else { self.place + 1 };
            let gone = std::mem::take(&mut self.buckets[self.place]);
            let Bucket { total, failed, slow } = gone;
            self.counts.remove(Counts { total: total.into(), failed: failed.into(), slow: slow.into() });
        }
        self.newest = number;
        self.end = (number + 1).saturating_mul(self.width);
    }
}

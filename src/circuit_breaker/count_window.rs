#[cfg(test)]
mod tests;

use super::window::Counts;

/// The last `size` calls, two bits each: failed, slow.
#[derive(Debug)]
pub(super) struct CountWindow {
    bits: Box<[u64]>,
    size: u32,
    /// Where the next call goes: over the oldest, once all places are taken.
    next: u32,
    /// How many calls there ever were.
    added: u64,
    counts: Counts,
}

const FAILED: u64 = 1;
const SLOW: u64 = 2;
const PER_WORD: u32 = u64::BITS / 2;
/// All places of a word.
const FAILED_EACH: u64 = u64::MAX / 3;
const SLOW_EACH: u64 = FAILED_EACH << 1;

impl CountWindow {
    pub(super) fn new(size: u32) -> Self {
        let words = size.div_ceil(PER_WORD) as usize;
        Self { bits: vec![0; words].into(), size, next: 0, added: 0, counts: Counts::default() }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn add(&mut self, failed: bool, slow: bool) -> u64 {
        let place = self.next;
        let flags = u64::from(failed) * FAILED + u64::from(slow) * SLOW;
        let old = (self.counts.total == u64::from(self.size)).then(|| self.get(place));
        // mostly one that went well takes the place of one that went well
        if old != Some(flags) {
            if let Some(old) = old {
                self.counts.remove(Counts { total: 1, failed: old & FAILED, slow: old / SLOW });
            }
            self.counts.add(failed, slow);
            self.set(place, flags);
        }
        self.next = if place + 1 == self.size { 0 } else { place + 1 };
        let sample = self.added;
        self.added += 1;
        sample
    }

    /// So many that went well: as if each were [added](Self::add), a word of places at a time.
    pub(super) fn add_good(&mut self, calls: u32) {
        self.added += u64::from(calls);
        if calls >= self.size {
            self.bits.fill(0);
            self.counts = Counts { total: self.size.into(), ..Counts::default() };
            return;
        }
        let mut left = calls;
        while left > 0 {
            let shift = self.next % PER_WORD * 2;
            let run = left.min(PER_WORD - shift / 2).min(self.size - self.next);
            let places = u64::MAX >> (u64::BITS - 2 * run) << shift;
            let word = &mut self.bits[(self.next / PER_WORD) as usize];
            if self.counts.total == u64::from(self.size) {
                let gone = *word & places;
                self.counts.failed -= u64::from((gone & FAILED_EACH).count_ones());
                self.counts.slow -= u64::from((gone & SLOW_EACH).count_ones());
            } else {
                // a window with free places fills them in order
                self.counts.total += u64::from(run);
            }
            *word &= !places;
            self.next = if self.next + run == self.size { 0 } else { self.next + run };
            left -= run;
        }
    }

    pub(super) fn amend(&mut self, sample: u64) {
        // a window that was cleared or resized since numbers its calls anew, and a transition makes their permits stale
        let age = self.added.checked_sub(sample).and_then(|age| u32::try_from(age).ok());
        if let Some(age) = age.filter(|age| (1..=self.size).contains(age) && u64::from(*age) <= self.counts.total) {
            let place = (self.next + self.size - age) % self.size;
            let flags = self.get(place);
            if flags & FAILED == 0 {
                self.set(place, flags | FAILED);
                self.counts.failed += 1;
            }
        }
    }

    pub(super) fn copy_into(&self, other: &mut Self) {
        // the numbers of the calls stay what they were
        let held = self.counts.total.min(u64::from(other.size));
        other.added = self.added - held;
        for age in (1..=u32::try_from(held).unwrap_or(self.size)).rev() {
            let flags = self.get((self.next + self.size - age) % self.size);
            other.add(flags & FAILED != 0, flags & SLOW != 0);
        }
    }

    pub(super) fn clear(&mut self) {
        // what lies in a place is overwritten before it is read again
        self.next = 0;
        self.counts = Counts::default();
    }

    fn get(&self, place: u32) -> u64 {
        self.bits[(place / PER_WORD) as usize] >> (place % PER_WORD * 2) & (FAILED | SLOW)
    }

    fn set(&mut self, place: u32, flags: u64) {
        let (word, shift) = (&mut self.bits[(place / PER_WORD) as usize], place % PER_WORD * 2);
        *word = *word & !((FAILED | SLOW) << shift) | flags << shift;
    }
}

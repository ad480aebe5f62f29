//! What a circuit that closed lets through until it trusts the other side again.

/// A share of calls that grows from a tenth to all of them. No chance: each call adds the share of its moment to a credit, and
/// the one that makes it whole goes through. So the calls that go are spread evenly, and no pause saves up a burst.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ramp {
    pub(super) began: u64,
    credit: u64,
}

/// All calls.
const ALL: u64 = 1_000_000;
/// Those that go through at the beginning.
const FIRST: u64 = ALL / 10;

impl Ramp {
    /// The first call goes through.
    pub(super) const fn new(now: u64) -> Self {
        Self { began: now, credit: ALL - FIRST }
    }

    /// Whether this call goes through, on a ramp of this length.
    pub(super) fn lets_through(&mut self, length: u64, now: u64) -> bool {
        self.credit += self.parts(length, now);
        let whole = self.credit >= ALL;
        if whole {
            self.credit -= ALL;
        }
        whole
    }

    /// The share that goes through now, between a tenth and 1.
    #[expect(clippy::cast_precision_loss, reason = "shown, never compared")]
    pub(super) fn share(&self, length: u64, now: u64) -> f64 {
        self.parts(length, now) as f64 / ALL as f64
    }

    fn parts(&self, length: u64, now: u64) -> u64 {
        let gone = u128::from(now.saturating_sub(self.began).min(length));
        let grown = u128::from(ALL - FIRST) * gone / u128::from(length.max(1));
        FIRST + u64::try_from(grown).unwrap_or(ALL - FIRST)
    }
}

#[cfg(test)]
mod tests;

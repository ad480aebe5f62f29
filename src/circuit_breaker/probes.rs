use super::{
    config::{Config, Decision},
    view::Reason,
    window::Counts,
};

/// What the probes of a half-open circuit have shown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Probes {
    ended: u32,
    failed: u32,
    slow: u32,
    /// Of the slow ones: those that have not ended.
    slow_out: u32,
}

impl Probes {
    /// Permits that are used up or out.
    pub(super) const fn taken(&self, out: u32) -> u32 {
        self.ended.saturating_add(out)
    }

    pub(super) const fn cross(&mut self) {
        self.slow += 1;
        self.slow_out += 1;
    }

    pub(super) const fn give_back(&mut self, crossed: bool) {
        if crossed {
            self.slow -= 1;
            self.slow_out -= 1;
        }
    }

    pub(super) fn end(&mut self, failed: bool, slow: bool, crossed: bool) {
        self.ended += 1;
        self.failed += u32::from(failed);
        if crossed {
            self.slow_out -= 1;
        } else {
            self.slow += u32::from(slow);
        }
    }

    /// [`Reason::ProbesSucceeded`], why it opens again, or nothing yet.
    pub(super) fn verdict(&self, config: &Config) -> Option<Reason> {
        let all = config.half_open_permits.get();
        let missing = all.saturating_sub(self.ended);
        if config.half_open_decision == Decision::All && missing > 0 {
            return None;
        }
        let total = u64::from(all);
        // without a rate every probe has to succeed
        let failed = |n: u32| config.failure_rate.map_or(n > 0, |rate| rate.reached_by(n.into(), total));
        let slow = |n: u32| config.slow_rate.is_some_and(|rate| rate.reached_by(n.into(), total));
        if failed(self.failed) {
            Some(Reason::ProbeFailed)
        } else if slow(self.slow) {
            Some(Reason::ProbeSlow)
        } else if failed(self.failed + missing) || slow(self.slow + missing.saturating_sub(self.slow_out)) {
            // what is still missing could change it
            None
        } else {
            Some(Reason::ProbesSucceeded)
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let calls = u64::from(self.ended + self.slow_out);
        Counts { total: calls, failed: self.failed.into(), slow: self.slow.into() }
    }
}

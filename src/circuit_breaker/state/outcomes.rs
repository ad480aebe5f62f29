//! What the machine makes of the outcome of a call.

use super::{Answered, Machine, Permit, Phase, Signal, nanos};
use crate::{
    backoff::Hint,
    circuit_breaker::{
        in_flight::{LOST, Removed},
        permit::{Kind, NO_SLOT, UNCOUNTED},
    },
};
use std::time::Duration;

/// Bits of the number of a window.
const TAG: u32 = u8::BITS;

impl Machine {
    /// Records the outcome of a call that has no body to wait for. `hint`: the server's; `duration`: from the permit to the
    /// outcome.
    ///
    /// A permit from before the last change of state is counted as stale, and moves nothing.
    #[expect(clippy::needless_pass_by_value, reason = "a permit is given back once")]
    pub fn record(&mut self, permit: Permit, signal: Signal, hint: Option<Hint>, duration: Duration, now: u64) {
        let now = self.advance(now);
        if permit.generation != self.generation {
            self.stale += u64::from(permit.is_counted());
            return;
        }
        let crossed = match permit.slot {
            NO_SLOT => None,
            slot => match self.take_out(slot, permit.started) {
                Some(removed) => removed.sample,
                // another machine's
                None => return self.stale += 1,
            },
        };
        let slow = duration >= self.config.slow;
        let signal = if signal == Signal::Dropped && slow { Signal::Failure } else { signal };
        self.settle(signal, hint, slow, crossed, now);
    }

    /// The head of the response has arrived, `duration` after the permit: the call crosses `slow` no more. What it comes to is
    /// recorded by [`finish`](Self::finish). Until then a probe stays out, at most for its lease: its permit then comes back.
    #[expect(clippy::needless_pass_by_value, reason = "a permit is given back once")]
    pub fn head(&mut self, permit: Permit, duration: Duration, now: u64) -> Answered {
        self.advance(now);
        let Permit { generation, slot, started } = permit;
        let took = Kind::Took(nanos(duration));
        let kind = if slot == NO_SLOT || generation != self.generation {
            took
        } else if self.phase == Phase::HalfOpen {
            let known = self.in_flight.answer(slot, started, nanos(duration));
            if known { Kind::Probe { slot, started } } else { took }
        } else {
            let sample = self.take_out(slot, started).and_then(|removed| removed.sample);
            sample.map_or(took, |sample| Kind::Crossed(self.tagged(sample)))
        };
        Answered::new(generation, kind)
    }

    /// Records the outcome of a call whose response has a [`head`](Self::head), at the end of its body.
    #[expect(clippy::needless_pass_by_value, reason = "a permit is given back once")]
    pub fn finish(&mut self, answered: Answered, signal: Signal, hint: Option<Hint>, now: u64) {
        let now = self.advance(now);
        if answered.generation != self.generation {
            self.stale += u64::from(answered.generation != UNCOUNTED);
            return;
        }
        let from = nanos(self.config.slow);
        let (slow, crossed) = match answered.kind {
            Kind::Took(took) => (took >= from, None),
            Kind::Crossed(tagged) => (true, Some(self.untagged(tagged))),
            Kind::Probe { slot, started } => match self.take_out(slot, started) {
                Some(removed) => (removed.took.is_some_and(|took| took >= from), removed.sample),
                // its lease has ended: what it says is as true as that of a probe
                None => (false, None),
            },
        };
        self.settle(signal, hint, slow, crossed, now);
    }

    fn take_out(&mut self, slot: u32, started: u64) -> Option<Removed> {
        let removed = self.in_flight.remove(slot, started)?;
        if self.in_flight.len() == 0 {
            self.due = self.due_without_calls();
        }
        Some(removed)
    }

    fn settle(&mut self, signal: Signal, hint: Option<Hint>, slow: bool, crossed: Option<u64>, now: u64) {
        let failed = match signal {
            Signal::Neutral | Signal::Dropped => {
                if self.phase == Phase::HalfOpen {
                    self.probes.give_back(crossed.is_some());
                }
                return;
            }
            Signal::Success => false,
            Signal::Failure | Signal::Overloaded => true,
        };
        if failed {
            self.heed(hint, now);
        }
        if self.phase == Phase::HalfOpen {
            self.probes.end(failed, slow, crossed.is_some());
            return self.judge_probes(now);
        }
        match crossed {
            None => _ = self.samples.add(now, failed, slow),
            Some(sample) if failed => self.samples.amend(now, sample),
            Some(_) => {}
        }
        match signal {
            Signal::Success => (self.run, self.not_before) = (0, 0),
            Signal::Failure => self.run = self.run.saturating_add(1),
            _ => {}
        }
        self.judge(now);
    }

    /// A sample that a caller keeps, with the window that it is a sample of: another window numbers its samples in another way.
    fn tagged(&self, sample: u64) -> u64 {
        let known = sample <= LOST >> TAG;
        if known { sample << TAG | u64::from(self.windows) } else { LOST }
    }

    fn untagged(&self, tagged: u64) -> u64 {
        let same = tagged & ((1 << TAG) - 1) == u64::from(self.windows);
        if same { tagged >> TAG } else { LOST }
    }
}

//! What may go on beside the machine, without asking it, and how it catches up.

use super::{Machine, Mode, Phase, State};

/// What calls may take for granted until the machine is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::circuit_breaker) enum Standing {
    /// Nothing: each has to ask.
    Asks,
    /// They have leave. Until `calm_until` successes may be told later and together ([`take_over`](Machine::take_over)): they,
    /// however many, move nothing, and belong in one bucket. `None`: each has to be recorded by itself.
    Flows { calm_until: Option<u64> },
    /// They have to ask for leave, since those in flight are kept track of. Time alone changes nothing before `due`. Of calls
    /// that are in flight no more, successes may be told later, as above.
    Tracked { due: u64, calm_until: Option<u64> },
    /// They are refused.
    Refuses { state: State, until: u64 },
}

impl Machine {
    pub(in crate::circuit_breaker) fn standing(&self) -> Standing {
        match (self.mode, self.phase) {
            (Mode::Auto, Phase::Closed) if self.ramp.is_some() => Standing::Asks,
            (Mode::Auto, Phase::Closed) if self.config.tracks_in_flight() => {
                Standing::Tracked { due: self.due, calm_until: self.calm_until() }
            }
            (Mode::Auto, Phase::Closed) => Standing::Flows { calm_until: self.calm_until() },
            (Mode::Auto, Phase::Open) => Standing::Refuses { state: State::Open, until: self.until },
            (Mode::ForcedOpen, _) => Standing::Refuses { state: State::ForcedOpen, until: self.mode_until },
            (Mode::Auto, Phase::HalfOpen) | (Mode::Disabled | Mode::Shadow, _) => Standing::Asks,
        }
    }

    /// A success is judged like any sample, and can trip: the fifth good call after five failures brings the minimum of calls
    /// together. It cannot where nothing failed or was slow, nor where what did would not reach the rate among `calls`, the
    /// larger of the minimum and of what is in the window: whenever there are enough calls to be judged, there are at least so
    /// many, until the window next loses calls to time; and no more of them failed. A call that leaves the last N makes room for
    /// the one that comes.
    fn calm_until(&self) -> Option<u64> {
        let held = self.samples.held();
        let calls = held.total.max(self.config.window.minimum_calls().into());
        let failing = self.config.failure_rate.is_some_and(|rate| rate.reached_by(held.failed, calls));
        let slow = self.config.slow_rate.is_some_and(|rate| rate.reached_by(held.slow, calls));
        let nothing = held.failed + held.slow == 0;
        (nothing || !failing && !slow).then(|| self.samples.lasts_until())
    }

    /// Successes and refusals of which it was not told when they were, in the order in which they were (which does not matter
    /// here): the successes while it was [calm](Standing::Flows).
    pub(in crate::circuit_breaker) fn take_over(&mut self, good: u32, refused: u64) {
        if good > 0 {
            self.samples.add_good(good);
            (self.run, self.not_before) = (0, 0);
        }
        self.refused += refused;
    }
}

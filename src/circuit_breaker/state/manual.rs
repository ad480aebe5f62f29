//! What is done to the machine by hand.

use super::{Change, Machine, Mode, NEVER, Phase, Samples, nanos};
use crate::circuit_breaker::{config::Config, view::Reason};
use std::{mem, sync::Arc, time::Duration};

/// What is done by hand.
impl Machine {
    /// Refuses every call: for `expiry`, or until something else is done by hand.
    pub fn force_open(&mut self, expiry: Option<Duration>, now: u64) {
        self.lay_over(Mode::ForcedOpen, expiry, now);
    }

    /// Lets every call through and counts none: for `expiry`, or until something else is done by hand.
    pub fn disable(&mut self, expiry: Option<Duration>, now: u64) {
        self.lay_over(Mode::Disabled, expiry, now);
    }

    /// Lets every call through and goes on as if it refused: for `expiry`, or until something else is done by hand.
    pub fn shadow(&mut self, expiry: Option<Duration>, now: u64) {
        self.lay_over(Mode::Shadow, expiry, now);
    }

    /// Opens now, for exactly `period`; it is no failure and does not make the next period longer. Ends what was done by hand.
    pub fn open_for(&mut self, period: Duration, now: u64) {
        let now = self.advance(now);
        self.period = nanos(period);
        self.until = now.saturating_add(self.period);
        self.step(Phase::Open, now);
    }

    /// Opens now, for as long as if it had failed. Ends what was done by hand.
    pub fn open(&mut self, now: u64) {
        let now = self.advance(now);
        self.begin_period(now);
        self.step(Phase::Open, now);
    }

    /// Lets probes through now. Ends what was done by hand.
    pub fn half_open(&mut self, now: u64) {
        let now = self.advance(now);
        self.step(Phase::HalfOpen, now);
    }

    /// Closes now, with an empty window. Ends what was done by hand.
    pub fn close(&mut self, now: u64) {
        let now = self.advance(now);
        self.step(Phase::Closed, now);
        self.start_afresh();
    }

    /// As if it were new: closed, nothing counted, nothing remembered.
    pub fn reset(&mut self, now: u64) {
        self.close(now);
        (self.attempts, self.refused, self.stale) = (0, 0, 0);
        self.period = 0;
    }

    /// Other settings from now on. State, window and attempts stay; of a window that shrinks, the newest calls.
    pub fn configure(&mut self, config: impl Into<Arc<Config>>, now: u64) {
        self.advance(now);
        let config = config.into();
        if config.window != self.config.window {
            self.samples = mem::replace(&mut self.samples, Samples::None).resized(&config.window);
            self.in_flight.lose_samples();
            self.windows = self.windows.wrapping_add(1);
        }
        self.config = config;
        // what is due when is to be found again
        self.due = 0;
    }

    fn step(&mut self, phase: Phase, now: u64) {
        let from = self.state();
        self.mode = Mode::Auto;
        self.mode_until = NEVER;
        self.phase = phase;
        self.ramp = None;
        self.since = now;
        self.turn_over(Reason::Manual);
        self.tell(Change { from, to: phase.into(), reason: Reason::Manual, shadow: false });
    }

    fn lay_over(&mut self, mode: Mode, expiry: Option<Duration>, now: u64) {
        let now = self.advance(now);
        let from = self.state();
        // what was found before a pause is old when it ends: the circuit then starts closed
        if mode != Mode::Shadow || self.mode != Mode::Auto {
            self.phase = Phase::Closed;
            self.ramp = None;
            self.since = now;
            self.start_afresh();
        }
        self.mode = mode;
        self.mode_until = expiry.map_or(NEVER, |after| now.saturating_add(nanos(after)));
        self.turn_over(Reason::Manual);
        self.tell(Change { from, to: self.state(), reason: Reason::Manual, shadow: false });
    }

    pub(super) fn mode_ends(&mut self, now: u64) {
        let from = self.state();
        self.mode_until = NEVER;
        if mem::replace(&mut self.mode, Mode::Auto) != Mode::Shadow {
            self.since = now;
            self.turn_over(Reason::ManualExpired);
        }
        self.tell(Change { from, to: self.state(), reason: Reason::ManualExpired, shadow: false });
    }
}

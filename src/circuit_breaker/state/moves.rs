//! What moves the machine: time, samples, probes.

use super::{Change, Machine, Mode, NEVER, Phase, nanos};
use crate::{
    backoff::{Backoff, Exponential, Hint, Jitter},
    circuit_breaker::{
        config::{Attempts, Config},
        permit::{NO_SLOT, UNCOUNTED},
        probes::Probes,
        ramp::Ramp,
        view::Reason,
        window::Counts,
    },
};
use std::time::Duration;

/// What time does.
pub(super) enum Event {
    ModeEnds,
    Crosses(u32),
    LeaseEnds,
    /// The lease of a probe that has the head of its response.
    LeaseComesBack {
        slot: u32,
        started: u64,
    },
    RampEnds,
}

/// Changes that nobody has fetched; the oldest go.
const KEPT_CHANGES: usize = 32;

impl Machine {
    /// Does what time has done until `now`, each thing at its own moment.
    #[inline]
    pub(super) fn advance(&mut self, now: u64) -> u64 {
        let now = now.max(self.now);
        if now >= self.due {
            self.catch_up(now);
        }
        self.now = now;
        now
    }

    #[inline(never)]
    fn catch_up(&mut self, now: u64) {
        while let Some((at, event)) = self.next_event() {
            if at > now {
                self.due = at;
                return;
            }
            let at = at.max(self.now);
            self.now = at;
            match event {
                Event::ModeEnds => self.mode_ends(at),
                Event::Crosses(slot) => self.crosses(slot, at),
                Event::LeaseEnds => self.trip(Reason::LeaseExpired, at),
                Event::LeaseComesBack { slot, started } => {
                    // healthy so far: it holds no permit any longer, and moves nothing
                    let removed = self.in_flight.remove(slot, started);
                    self.probes.give_back(removed.is_some_and(|removed| removed.sample.is_some()));
                }
                Event::RampEnds => self.ramp = None,
            }
        }
        self.due = NEVER;
    }

    /// The slot of a call that begins now, and will be looked at when it crosses `slow` or its lease ends.
    pub(super) fn keep_track(&mut self, now: u64) -> u32 {
        let Some(slot) = self.in_flight.insert(now) else { return NO_SLOT };
        if self.config.tracks_in_flight() {
            self.due = self.due.min(now.saturating_add(nanos(self.config.slow)));
        }
        if self.phase == Phase::HalfOpen {
            self.due = self.due.min(now.saturating_add(nanos(self.config.probe_lease())));
        }
        slot
    }

    pub(super) fn next_event(&self) -> Option<(u64, Event)> {
        let mode = (self.mode_until != NEVER).then_some((self.mode_until, Event::ModeEnds));
        let ramp = self.ramp.map(|ramp| (ramp.began.saturating_add(self.ramp_length()), Event::RampEnds));
        if self.in_flight.len() == 0 {
            return [mode, ramp].into_iter().flatten().min_by_key(|(at, _)| *at);
        }
        let slow = nanos(self.config.slow);
        let crosses = self.in_flight.first_waiting().filter(|_| self.config.tracks_in_flight());
        let crosses = crosses.map(|(slot, started)| (started.saturating_add(slow), Event::Crosses(slot)));
        let [mut lease, mut comes_back] = [None, None];
        if self.phase == Phase::HalfOpen {
            let ends =
                |started: u64| Some(started.saturating_add(nanos(self.config.probe_lease()))).filter(|at| *at != NEVER);
            lease = self.in_flight.oldest().and_then(ends).map(|at| (at, Event::LeaseEnds));
            let answered = self.in_flight.oldest_answered();
            comes_back = answered
                .and_then(|(slot, started)| ends(started).map(|at| (at, Event::LeaseComesBack { slot, started })));
        }
        [mode, ramp, crosses, lease, comes_back].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn crosses(&mut self, slot: u32, at: u64) {
        if self.phase == Phase::HalfOpen {
            self.in_flight.cross(slot, 0);
            self.probes.cross();
            self.judge_probes(at);
        } else {
            let sample = self.samples.add(at, false, true);
            self.in_flight.cross(slot, sample);
            self.judge(at);
        }
    }

    /// A closed circuit, after every sample.
    pub(super) fn judge(&mut self, now: u64) {
        if self.config.consecutive_failures.is_some_and(|limit| self.run >= limit.get()) {
            return self.trip(Reason::ConsecutiveFailures, now);
        }
        let Counts { total, failed, slow } = self.samples.counts(now);
        if failed + slow == 0 || total < u64::from(self.config.window.minimum_calls()) {
            return;
        }
        if self.config.failure_rate.is_some_and(|rate| rate.reached_by(failed, total)) {
            self.trip(Reason::FailureRate, now);
        } else if self.config.slow_rate.is_some_and(|rate| rate.reached_by(slow, total)) {
            self.trip(Reason::SlowRate, now);
        }
    }

    pub(super) fn judge_probes(&mut self, now: u64) {
        match self.probes.verdict(&self.config) {
            Some(Reason::ProbesSucceeded) => self.enter(Phase::Closed, Reason::ProbesSucceeded, now),
            Some(reason) => self.trip(reason, now),
            None => {}
        }
    }

    pub(super) fn heed(&mut self, hint: Option<Hint>, now: u64) {
        if let Some(after) = hint.and_then(Hint::after) {
            let after = nanos(after.min(self.config.max_retry_after));
            self.not_before = self.not_before.max(now.saturating_add(after));
        }
    }

    fn trip(&mut self, reason: Reason, now: u64) {
        self.begin_period(now);
        self.enter(Phase::Open, reason, now);
    }

    /// How long the next open period lasts: longer each time in a row, and never shorter than the other side asked for.
    pub(super) fn begin_period(&mut self, now: u64) {
        self.attempts = self.attempts_left(now).saturating_add(1);
        let Config { open_for, max_open_for, jitter, .. } = *self.config;
        let delay = Exponential::new(open_for, max_open_for.max(open_for))
            .unwrap_or_default()
            .with_jitter(jitter)
            .delay(self.attempts, Duration::from_nanos(self.period), &mut self.random);
        self.period = nanos(delay);
        let own = now.saturating_add(nanos(delay));
        self.until = if self.not_before <= own {
            own
        } else if jitter == Jitter::None {
            self.not_before
        } else {
            // all who were told the same moment do not come at the same moment
            self.not_before.saturating_add(self.random.u64(0..=nanos(delay)))
        };
    }

    /// The times that it opened in a row, less those that are forgotten.
    pub(super) fn attempts_left(&self, now: u64) -> u32 {
        if self.phase != Phase::Closed {
            return self.attempts;
        }
        let healthy = now - self.since.min(now);
        let every = nanos(self.config.max_open_for.max(self.config.open_for)).max(1);
        self.attempts.saturating_sub(u32::try_from(healthy / every).unwrap_or(u32::MAX))
    }

    pub(super) fn enter(&mut self, phase: Phase, reason: Reason, now: u64) {
        let (from, shadow) = (self.phase.into(), self.mode == Mode::Shadow);
        self.phase = phase;
        self.since = now;
        self.turn_over(reason);
        self.ramp = None;
        if phase == Phase::Closed {
            self.start_afresh();
            // here by its probes: what is closed by hand is trusted
            self.ramp = (self.ramp_length() > 0).then_some(Ramp::new(now));
            self.due = self.due_without_calls();
        }
        self.tell(Change { from, to: phase.into(), reason, shadow });
    }

    /// The next moment at which time alone changes something, if no call is kept track of.
    pub(super) fn due_without_calls(&self) -> u64 {
        self.ramp.map_or(self.mode_until, |ramp| self.mode_until.min(ramp.began.saturating_add(self.ramp_length())))
    }

    /// How long a ramp takes by the settings of this moment.
    pub(super) fn ramp_length(&self) -> u64 {
        self.config.ramp_up.map_or(0, nanos)
    }

    /// A new generation: what is in flight belongs to the one before.
    pub(super) fn turn_over(&mut self, reason: Reason) {
        self.generation = self.generation.checked_add(1).unwrap_or(UNCOUNTED + 1);
        self.reason = reason;
        self.in_flight.clear();
        self.due = self.mode_until;
        self.probes = Probes::default();
    }

    pub(super) fn start_afresh(&mut self) {
        self.samples.clear();
        self.run = 0;
        self.not_before = 0;
        if self.config.attempts == Attempts::Reset {
            self.attempts = 0;
        }
    }

    pub(super) fn tell(&mut self, change: Change) {
        if self.changes.len() == KEPT_CHANGES {
            self.changes.remove(0);
        }
        self.changes.push(change);
    }
}

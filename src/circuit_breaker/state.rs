//! The circuit itself: a pure, synchronous machine that is told the time. No lock, no timer, no http.
//!
//! [`Circuit`](super::Circuit) is this behind a lock and a clock. It is public for tests, simulations, and for calls that are not
//! tower's: whoever holds one tells it what time it is, in nanoseconds since a moment of its choice.
//!
//! ```
//! use std::time::Duration;
//! use steadfast::circuit_breaker::{Config, State, state::{Machine, Signal}};
//!
//! let mut circuit = Machine::new(Config::default(), 7);
//! for _ in 0..5 {
//!     let permit = circuit.admit(0).map_err(|no| no.why())?;
//!     circuit.record(permit, Signal::Failure, None, Duration::from_millis(1), 1_000_000);
//! }
//! assert_eq!(circuit.view(1_000_000).state, State::Open);
//! assert!(circuit.admit(1_000_000).is_err());
//! # Ok::<(), &str>(())
//! ```
//!
//! Time moves it by itself: a call in flight crosses `slow`, the lease of a probe ends, what was done by hand ends. Every
//! method first does what time has done since the last one, at the moment at which it happened; so it does not matter how often
//! anybody asks, and asking changes nothing else. An open period that ended is no such event: the next
//! [`admit`](Machine::admit) makes the circuit half-open. A `now` before the last one counts as the last one.

use super::{
    config::{Attempts, Config},
    in_flight::InFlight,
    permit::{NO_SLOT, UNCOUNTED},
    probes::Probes,
    view::{Reason, State, View},
    window::{Counts, Samples},
};
pub use super::{
    permit::{Permit, Rejected, Signal},
    view::Change,
};
use crate::backoff::{Backoff, Exponential, Hint, Jitter};
use std::{mem, sync::Arc, time::Duration};

/// One circuit.
#[derive(Debug)]
pub struct Machine {
    pub(super) config: Arc<Config>,
    pub(super) mode: Mode,
    /// When what was done by hand ends.
    mode_until: u64,
    pub(super) phase: Phase,
    pub(super) reason: Reason,
    pub(super) generation: u32,
    /// When the phase began.
    since: u64,
    /// Open: when the period ends, and how long it was.
    until: u64,
    period: Duration,
    samples: Samples,
    run: u32,
    attempts: u32,
    /// Until when the other side asked to be left alone.
    not_before: u64,
    probes: Probes,
    in_flight: InFlight,
    random: fastrand::Rng,
    refused: u64,
    stale: u64,
    now: u64,
    changes: Vec<Change>,
}

/// What the circuit finds for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Closed,
    Open,
    HalfOpen,
}

/// What is laid over it by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Auto,
    ForcedOpen,
    Disabled,
    Shadow,
}

/// What time does.
enum Event {
    ModeEnds,
    Crosses(u32),
    LeaseEnds,
}

const NEVER: u64 = u64::MAX;
/// Changes that nobody has fetched; the oldest go.
const KEPT_CHANGES: usize = 32;

impl Machine {
    /// Closed. `seed`: of the chance in its open periods.
    pub fn new(config: impl Into<Arc<Config>>, seed: u64) -> Self {
        let config = config.into();
        Self {
            samples: Samples::new(&config.window),
            config,
            mode: Mode::Auto,
            mode_until: NEVER,
            phase: Phase::Closed,
            reason: Reason::New,
            generation: 1,
            since: 0,
            until: 0,
            period: Duration::ZERO,
            run: 0,
            attempts: 0,
            not_before: 0,
            probes: Probes::default(),
            in_flight: InFlight::new(),
            random: fastrand::Rng::with_seed(seed),
            refused: 0,
            stale: 0,
            now: 0,
            changes: Vec::new(),
        }
    }

    /// Asks for leave to make a call.
    ///
    /// # Errors
    /// When the call must not be made, and when one may.
    pub fn admit(&mut self, now: u64) -> Result<Permit, Rejected> {
        let now = self.advance(now);
        match self.mode {
            Mode::Auto => self.try_admit(now),
            Mode::Shadow => Ok(self.try_admit(now).unwrap_or(Permit::new(UNCOUNTED, NO_SLOT, now))),
            Mode::Disabled => Ok(Permit::new(UNCOUNTED, NO_SLOT, now)),
            Mode::ForcedOpen => Err(self.refuse(State::ForcedOpen, self.mode_until)),
        }
    }

    fn try_admit(&mut self, now: u64) -> Result<Permit, Rejected> {
        if self.phase == Phase::Open {
            if now < self.until {
                return Err(self.refuse(State::Open, self.until));
            }
            self.enter(Phase::HalfOpen, Reason::OpenExpired, now);
        }
        let slot = match self.phase {
            Phase::Closed if !self.config.tracks_in_flight() => NO_SLOT,
            Phase::HalfOpen if self.probes.taken(self.in_flight.len()) >= self.config.half_open_permits.get() => {
                return Err(self.refuse(State::HalfOpen, NEVER));
            }
            _ => self.in_flight.insert(now).unwrap_or(NO_SLOT),
        };
        Ok(Permit::new(self.generation, slot, now))
    }

    /// What [`admit`](Self::admit) would say no with, now; nothing is counted and no permit goes out.
    pub fn would_refuse(&mut self, now: u64) -> Option<Rejected> {
        let now = self.advance(now);
        match (self.mode, self.phase) {
            (Mode::ForcedOpen, _) => Some(self.rejected(State::ForcedOpen, self.mode_until)),
            (Mode::Auto, Phase::Open) if now < self.until => Some(self.rejected(State::Open, self.until)),
            (Mode::Auto, Phase::HalfOpen)
                if self.probes.taken(self.in_flight.len()) >= self.config.half_open_permits.get() =>
            {
                Some(self.rejected(State::HalfOpen, NEVER))
            }
            _ => None,
        }
    }

    /// Says no to a call that was not even offered, because [`would_refuse`](Self::would_refuse) had said so.
    pub(super) fn refuse_now(&mut self, now: u64) -> Rejected {
        let rejected = self.would_refuse(now);
        self.refused += 1;
        rejected.unwrap_or_else(|| self.rejected(State::Open, self.now))
    }

    fn refuse(&mut self, state: State, until: u64) -> Rejected {
        self.refused += 1;
        self.rejected(state, until)
    }

    fn rejected(&self, state: State, until: u64) -> Rejected {
        let retry_after = (until != NEVER).then(|| Duration::from_nanos(until - self.now.min(until)));
        Rejected { state, reason: self.reason, retry_after }
    }

    /// What a call came to. `hint`: when the other side wants to be asked again; `duration`: from leave to outcome.
    ///
    /// A permit from before the last change of state is counted as stale, and moves nothing.
    pub fn record(&mut self, permit: Permit, signal: Signal, hint: Option<Hint>, duration: Duration, now: u64) {
        let now = self.advance(now);
        if permit.generation != self.generation {
            self.stale += u64::from(permit.is_counted());
            return;
        }
        let tracked = permit.slot != NO_SLOT;
        let crossed = if tracked { self.in_flight.remove(permit.slot) } else { None };
        let slow = duration >= self.config.slow;
        let signal = match signal {
            Signal::Dropped if slow => Signal::Failure,
            Signal::Dropped => Signal::Neutral,
            signal => signal,
        };
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

    /// What it is at this moment.
    pub fn view(&mut self, now: u64) -> View {
        let now = self.advance(now);
        let closed = self.samples.counts(now);
        let (counts, minimum) = match self.phase {
            Phase::HalfOpen => (self.probes.counts(), self.config.half_open_permits.get()),
            Phase::Closed | Phase::Open => (closed, self.config.window.minimum_calls()),
        };
        let state = self.state();
        let rate =
            |part: u64| (counts.total > 0 && counts.total >= u64::from(minimum)).then(|| share(part, counts.total));
        let until = match (self.mode, self.phase) {
            (Mode::ForcedOpen, _) => self.mode_until,
            (Mode::Auto | Mode::Shadow, Phase::Open) => self.until,
            _ => NEVER,
        };
        View {
            state,
            beneath: if state == State::Shadow { self.phase.into() } else { state },
            reason: self.reason,
            retry_after: self.rejected(state, until).retry_after,
            calls: counts.total,
            failed: counts.failed,
            slow: counts.slow,
            failure_rate: rate(counts.failed),
            slow_rate: rate(counts.slow),
            run: self.run,
            attempts: self.attempts,
            probes: if self.phase == Phase::HalfOpen { self.in_flight.len() } else { 0 },
            refused: self.refused,
            stale: self.stale,
        }
    }

    /// Whether it holds anything that a new one would not know: it is not closed, or something failed, was slow or is kept
    /// track of.
    pub fn holds_history(&mut self, now: u64) -> bool {
        let now = self.advance(now);
        let Counts { failed, slow, .. } = self.samples.counts(now);
        self.state() != State::Closed
            || (failed, slow, self.run, self.in_flight.len()) != (0, 0, 0, 0)
            || self.attempts_left(now) > 0
    }

    /// The changes of state since they were last fetched, in order; at most the last 32.
    pub fn take_changes(&mut self) -> Vec<Change> {
        mem::take(&mut self.changes)
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// The time of the last call of any method.
    pub(super) fn last_used(&self) -> u64 {
        self.now
    }

    pub(super) fn state(&self) -> State {
        match self.mode {
            Mode::Auto => self.phase.into(),
            Mode::ForcedOpen => State::ForcedOpen,
            Mode::Disabled => State::Disabled,
            Mode::Shadow => State::Shadow,
        }
    }

    /// Does what time has done until `now`, each thing at its own moment.
    fn advance(&mut self, now: u64) -> u64 {
        let now = now.max(self.now);
        while let Some((at, event)) = self.next_event().filter(|(at, _)| *at <= now) {
            let at = at.max(self.now);
            self.now = at;
            match event {
                Event::ModeEnds => self.mode_ends(at),
                Event::Crosses(slot) => self.crosses(slot, at),
                Event::LeaseEnds => self.trip(Reason::LeaseExpired, at),
            }
        }
        self.now = now;
        now
    }

    fn next_event(&self) -> Option<(u64, Event)> {
        let mode = (self.mode_until != NEVER).then_some((self.mode_until, Event::ModeEnds));
        if self.in_flight.len() == 0 {
            return mode;
        }
        let slow = nanos(self.config.slow);
        let crosses = self.in_flight.first_waiting().filter(|_| self.config.tracks_in_flight());
        let crosses = crosses.map(|(slot, started)| (started.saturating_add(slow), Event::Crosses(slot)));
        let lease = self.in_flight.oldest().filter(|_| self.phase == Phase::HalfOpen);
        let lease = lease.map(|started| started.saturating_add(nanos(self.config.probe_lease())));
        let lease = lease.filter(|at| *at != NEVER).map(|at| (at, Event::LeaseEnds));
        [mode, crosses, lease].into_iter().flatten().min_by_key(|(at, _)| *at)
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
    fn judge(&mut self, now: u64) {
        if self.config.consecutive_failures.is_some_and(|limit| self.run >= limit.get()) {
            return self.trip(Reason::ConsecutiveFailures, now);
        }
        let Counts { total, failed, slow } = self.samples.counts(now);
        if total < u64::from(self.config.window.minimum_calls()) {
            return;
        }
        if self.config.failure_rate.is_some_and(|rate| rate.reached_by(failed, total)) {
            self.trip(Reason::FailureRate, now);
        } else if self.config.slow_rate.is_some_and(|rate| rate.reached_by(slow, total)) {
            self.trip(Reason::SlowRate, now);
        }
    }

    fn judge_probes(&mut self, now: u64) {
        match self.probes.verdict(&self.config) {
            Some(Reason::ProbesSucceeded) => self.enter(Phase::Closed, Reason::ProbesSucceeded, now),
            Some(reason) => self.trip(reason, now),
            None => {}
        }
    }

    fn heed(&mut self, hint: Option<Hint>, now: u64) {
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
    fn begin_period(&mut self, now: u64) {
        self.attempts = self.attempts_left(now).saturating_add(1);
        let Config { open_for, max_open_for, jitter, .. } = *self.config;
        let delay = Exponential::new(open_for, max_open_for.max(open_for))
            .unwrap_or_default()
            .with_jitter(jitter)
            .delay(self.attempts, self.period, &mut self.random);
        self.period = delay;
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
    fn attempts_left(&self, now: u64) -> u32 {
        if self.phase != Phase::Closed {
            return self.attempts;
        }
        let healthy = now - self.since.min(now);
        let every = nanos(self.config.max_open_for.max(self.config.open_for)).max(1);
        self.attempts.saturating_sub(u32::try_from(healthy / every).unwrap_or(u32::MAX))
    }

    fn enter(&mut self, phase: Phase, reason: Reason, now: u64) {
        let (from, shadow) = (self.phase.into(), self.mode == Mode::Shadow);
        self.phase = phase;
        self.since = now;
        self.turn_over(reason);
        if phase == Phase::Closed {
            self.start_afresh();
        }
        self.tell(Change { from, to: phase.into(), reason, shadow });
    }

    /// A new generation: what is in flight belongs to the one before.
    fn turn_over(&mut self, reason: Reason) {
        self.generation = self.generation.checked_add(1).unwrap_or(UNCOUNTED + 1);
        self.reason = reason;
        self.in_flight.clear();
        self.probes = Probes::default();
    }

    fn start_afresh(&mut self) {
        self.samples.clear();
        self.run = 0;
        self.not_before = 0;
        if self.config.attempts == Attempts::Reset {
            self.attempts = 0;
        }
    }

    fn tell(&mut self, change: Change) {
        if self.changes.len() == KEPT_CHANGES {
            self.changes.remove(0);
        }
        self.changes.push(change);
    }
}

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
        self.until = now.saturating_add(nanos(period));
        self.period = period;
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
        self.period = Duration::ZERO;
    }

    /// Other settings from now on. State, window and attempts stay; of a window that shrinks, the newest calls.
    pub fn configure(&mut self, config: impl Into<Arc<Config>>, now: u64) {
        self.advance(now);
        let config = config.into();
        if config.window != self.config.window {
            self.samples = mem::replace(&mut self.samples, Samples::None).resized(&config.window);
            self.in_flight.lose_samples();
        }
        self.config = config;
    }

    fn step(&mut self, phase: Phase, now: u64) {
        let from = self.state();
        self.mode = Mode::Auto;
        self.mode_until = NEVER;
        self.phase = phase;
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
            self.since = now;
            self.start_afresh();
        }
        self.mode = mode;
        self.mode_until = expiry.map_or(NEVER, |after| now.saturating_add(nanos(after)));
        self.turn_over(Reason::Manual);
        self.tell(Change { from, to: self.state(), reason: Reason::Manual, shadow: false });
    }

    fn mode_ends(&mut self, now: u64) {
        let from = self.state();
        self.mode_until = NEVER;
        if mem::replace(&mut self.mode, Mode::Auto) != Mode::Shadow {
            self.since = now;
            self.turn_over(Reason::ManualExpired);
        }
        self.tell(Change { from, to: self.state(), reason: Reason::ManualExpired, shadow: false });
    }
}

impl From<Phase> for State {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Closed => Self::Closed,
            Phase::Open => Self::Open,
            Phase::HalfOpen => Self::HalfOpen,
        }
    }
}

/// As nanoseconds; what is beyond five hundred years is never.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER)
}

#[expect(clippy::cast_precision_loss, reason = "shown, never compared")]
fn share(part: u64, total: u64) -> f64 {
    part as f64 / total as f64
}

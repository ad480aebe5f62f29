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

mod manual;
mod moves;
mod outcomes;
mod outlook;
mod ramping;
mod standing;

use super::{
    config::Config,
    in_flight::InFlight,
    permit::{NO_SLOT, UNCOUNTED},
    probes::Probes,
    ramp::Ramp,
    view::{Reason, State, View},
    window::{Counts, Samples},
};
pub use super::{
    permit::{Answered, Permit, Rejected, Signal},
    view::Change,
};
pub(super) use outlook::{Outlook, Room};
pub(super) use standing::Standing;
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
    period: u64,
    samples: Samples,
    /// How many windows there were before this one.
    windows: u8,
    run: u32,
    attempts: u32,
    /// Until when the other side asked to be left alone.
    not_before: u64,
    probes: Probes,
    in_flight: InFlight,
    /// Closed by its probes, and not trusted with all calls yet.
    pub(super) ramp: Option<Ramp>,
    /// Before this moment time alone changes nothing. It may be earlier than it need be, and is never later.
    due: u64,
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

const NEVER: u64 = u64::MAX;

impl Machine {
    /// Closed. `seed`: of the chance in its open periods.
    pub fn new(config: impl Into<Arc<Config>>, seed: u64) -> Self {
        let config = config.into();
        Self {
            samples: Samples::new(&config.window),
            windows: 0,
            config,
            mode: Mode::Auto,
            mode_until: NEVER,
            phase: Phase::Closed,
            reason: Reason::New,
            generation: 1,
            since: 0,
            until: 0,
            period: 0,
            run: 0,
            attempts: 0,
            not_before: 0,
            probes: Probes::default(),
            in_flight: InFlight::new(),
            ramp: None,
            due: NEVER,
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
        self.try_ramp(now)?;
        let slot = match self.phase {
            Phase::Closed if !self.config.tracks_in_flight() => NO_SLOT,
            Phase::HalfOpen if self.probes.taken(self.in_flight.len()) >= self.config.half_open_permits.get() => {
                return Err(self.refuse(State::HalfOpen, NEVER));
            }
            _ => self.keep_track(now),
        };
        Ok(Permit::new(self.generation, slot, now))
    }

    /// What [`admit`](Self::admit) would say no with, now; nothing is counted and no permit goes out. Whom a ramp is against is
    /// not known before.
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
        Rejected { state, reason: self.reason_now(), retry_after }
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
            reason: self.reason_now(),
            retry_after: self.rejected(state, until).retry_after,
            calls: counts.total,
            failed: counts.failed,
            slow: counts.slow,
            failure_rate: rate(counts.failed),
            slow_rate: rate(counts.slow),
            run: self.run,
            attempts: self.attempts,
            ramp_up: self.ramp_share(now),
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
            || self.ramp.is_some()
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
pub(super) const fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos() as u64)
}

#[expect(clippy::cast_precision_loss, reason = "shown, never compared")]
fn share(part: u64, total: u64) -> f64 {
    part as f64 / total as f64
}

//! The machine behind its lock, and what calls may do without taking it.
//!
//! Everything that moves the machine is done under the lock. Two things happen beside it and are counted in words of their own:
//! a success that cannot move it, and a refusal that it would repeat. Whoever takes the lock first hands these over to the
//! machine, so that it is in the state in which it would be had each of them taken the lock.
//!
//! **A success** is counted in `good`: the generation in which it may be, and a number that only rises. It is open only while
//! the machine is [calm](Standing::Flows), that is, while no number of further successes could move it; and nobody holds
//! the lock. Whoever takes the lock closes it (one swap, so each success is in it or finds it closed) and, when done, opens it
//! one number further. So a `compare_exchange` that finds the word as it was loaded knows that nobody had the lock in between,
//! and that `slow` and `until`, which are written under the lock, were of the same moment. One that fails looks again, and finds
//! the next number, or that it must take the lock.
//!
//! * An outcome of another generation, a slow one, or one that needs another bucket of a time window takes the lock.
//! * What happened before somebody took the lock is in the word then: a failure finds every success before it counted.
//! * The order of successes that are counted together is lost, and with it nothing: they are the same to a count window, belong
//!   in one bucket of a time window, and each of them ends a run of failures.

#[cfg(all(test, steadfast_loom))]
mod loom;

use super::{
    permit::{Answered, Kind, NO_SLOT, Permit, Rejected, Signal},
    state::{Machine, Standing, nanos},
    sync::{AtomicU64, Mutex, MutexGuard, Ordering},
    view::{Reason, State},
};
use crate::backoff::Hint;
use std::{sync::PoisonError, time::Duration};

/// `repr(C)`: what every call writes lies apart from what every call reads, with the machine between them.
#[repr(C)]
pub(super) struct Gate {
    /// A generation, and below it a number that rises with each success of that generation; or [`CLOSED`].
    good: AtomicU64,
    /// Refusals that the machine does not know of yet.
    refused: AtomicU64,
    machine: Mutex<Behind>,
    /// A generation, and below it what a call may take for granted: [`ASK`], [`FLOWS`], [`TRACKED`], or why it is refused.
    pass: AtomicU64,
    /// [`FLOWS`]: until when successes are counted in `good`, or 0. [`TRACKED`]: until when time changes nothing, nor do
    /// successes that are counted. Else until when calls are refused.
    until: AtomicU64,
    /// From when on a call is slow.
    slow: AtomicU64,
}

/// What the lock is around.
pub(super) struct Behind {
    pub(super) machine: Machine,
    /// The number at which `good` was opened.
    opened_at: u32,
    /// When it was last used, in units of [`coarse`]: in what would be padding.
    used: u32,
}

/// The unit is 1.07 seconds, 2^30 nanoseconds: enough for 146 years.
#[expect(clippy::cast_possible_truncation, reason = "no process runs for so long")]
const fn coarse(nanos: u64) -> u32 {
    (nanos >> 30) as u32
}

/// No generation, and no number higher than its.
const CLOSED: u64 = u32::MAX as u64;

const ASK: u32 = 0;
const FLOWS: u32 = 1;
const TRACKED: u32 = 2;
const FORCED: u32 = 3;
/// This, and the place of the reason in [`REASONS`].
const OPEN: u32 = 4;
/// Why a circuit opens. For any other reason the machine is asked.
const REASONS: [Reason; 7] = [
    Reason::ConsecutiveFailures,
    Reason::FailureRate,
    Reason::SlowRate,
    Reason::ProbeFailed,
    Reason::ProbeSlow,
    Reason::LeaseExpired,
    Reason::Manual,
];

impl Behind {
    /// What the machine learns of only now may have been at any time until now.
    const fn learn(&mut self, news: bool, now: u64) {
        if news {
            self.used = coarse(now);
        }
    }
}

impl Gate {
    pub(super) fn new(machine: Machine) -> Self {
        let gate = Self {
            good: AtomicU64::new(CLOSED),
            refused: AtomicU64::new(0),
            machine: Mutex::new(Behind { machine, opened_at: 0, used: 0 }),
            pass: AtomicU64::new(word(0, ASK)),
            until: AtomicU64::new(0),
            slow: AtomicU64::new(0),
        };
        gate.with(|_| ());
        gate
    }

    /// The generation in which calls have leave without asking.
    #[inline]
    pub(super) fn flows(&self) -> Option<u32> {
        let pass = self.pass.load(Ordering::Acquire);
        (low(pass) == FLOWS).then(|| high(pass))
    }

    /// Whether a call would be refused; `None`: the machine has to be asked. `clock` is read where it depends on it.
    #[inline]
    pub(super) fn would_refuse(&self, clock: impl FnOnce() -> u64) -> Option<bool> {
        let pass = self.pass.load(Ordering::Acquire);
        match low(pass) {
            FLOWS => Some(false),
            ASK => None,
            TRACKED => {
                let due = self.until.load(Ordering::Acquire);
                (due == u64::MAX || clock() < due).then_some(false)
            }
            _ => self.refuses_until(pass).filter(|until| clock() < *until).map(|_| true),
        }
    }

    /// A no, counted, that the machine need not be asked for.
    #[inline]
    pub(super) fn refuse(&self, clock: impl FnOnce() -> u64) -> Option<Rejected> {
        let pass = self.pass.load(Ordering::Acquire);
        if low(pass) < FORCED {
            return None;
        }
        let until = self.refuses_until(pass)?;
        let left = until.checked_sub(clock()).filter(|left| *left > 0)?;
        self.refused.fetch_add(1, Ordering::Relaxed);
        let open = REASONS.get(low(pass).wrapping_sub(OPEN) as usize);
        let (state, reason) = open.map_or((State::ForcedOpen, Reason::Manual), |reason| (State::Open, *reason));
        let retry_after = (until != u64::MAX).then(|| Duration::from_nanos(left));
        Some(Rejected { state, reason, retry_after })
    }

    /// Whoever writes `until` has taken `pass` away before, and no generation comes twice: so this is the one that goes with it.
    fn refuses_until(&self, pass: u64) -> Option<u64> {
        let until = self.until.load(Ordering::Acquire);
        (self.pass.load(Ordering::Acquire) == pass).then_some(until)
    }

    /// Records the outcome of a call without a body to wait for. Whether the machine has changes to tell of.
    #[inline(never)]
    pub(super) fn record(&self, permit: Permit, signal: Signal, hint: Option<Hint>, now: u64) -> bool {
        let took = now.saturating_sub(permit.started);
        if signal == Signal::Success && permit.slot == NO_SLOT && self.count(permit.generation, took, || now) {
            return false;
        }
        self.with(|machine| machine.record(permit, signal, hint, Duration::from_nanos(took), now)).1
    }

    /// The head of a response has arrived; see [`Machine::head`]. A call that is not kept track of takes no lock.
    pub(super) fn head(&self, permit: Permit, now: u64) -> (Answered, bool) {
        let took = now.saturating_sub(permit.started);
        if permit.slot == NO_SLOT {
            return (Answered::new(permit.generation, Kind::Took(took)), false);
        }
        self.with(|machine| machine.head(permit, Duration::from_nanos(took), now))
    }

    /// Records the outcome at the end of a body. Whether the machine has changes to tell of; `None`: it was not asked. `now` is
    /// asked for where it depends on it.
    #[inline(never)]
    pub(super) fn finish(
        &self,
        answered: Answered,
        signal: Signal,
        hint: Option<Hint>,
        now: impl Fn() -> u64,
    ) -> Option<bool> {
        if let (Signal::Success, Kind::Took(took)) = (signal, answered.kind)
            && self.count(answered.generation, took, &now)
        {
            return None;
        }
        let now = now();
        Some(self.with(|machine| machine.finish(answered, signal, hint, now)).1)
    }

    /// Whether a time, in nanoseconds, is that of a slow call.
    pub(super) fn is_slow(&self, time: u64) -> bool {
        time >= self.slow.load(Ordering::Acquire)
    }

    /// Counts a success beside the machine, if it may be: of a call that is not kept track of. `took`: how long it took, in
    /// nanoseconds; `now` is asked for where it depends on it.
    #[inline]
    pub(super) fn count(&self, generation: u32, took: u64, now: impl Fn() -> u64) -> bool {
        let mut good = self.good.load(Ordering::Acquire);
        loop {
            // at the last number, and so also where it is closed, the machine is told
            if high(good) != generation || low(good) == u32::MAX {
                return false;
            }
            // Written under the lock only, before the word was opened; were they newer, the exchange would fail.
            let (slow, until) = (self.slow.load(Ordering::Acquire), self.until.load(Ordering::Acquire));
            if took >= slow || until != u64::MAX && now() >= until {
                return false;
            }
            // Release: whoever takes this success over has seen what came before it.
            match self.good.compare_exchange_weak(good, good + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(other) => good = other,
            }
        }
    }

    /// Does something with the machine, which knows of everything by then. Also whether it has changes to tell of.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Machine) -> T) -> (T, bool) {
        let mut behind = self.lock();
        let out = self.work(&mut behind, |behind, _| work(&mut behind.machine));
        behind.used = coarse(behind.machine.last_used());
        out
    }

    /// The same for what only looks: a circuit that is watched is not one that is used.
    pub(super) fn look<T>(&self, now: u64, work: impl FnOnce(&mut Machine) -> T) -> (T, bool) {
        self.work(&mut self.lock(), |behind, news| {
            behind.learn(news, now);
            work(&mut behind.machine)
        })
    }

    /// The same, unless another thread has the lock. `work` is also given when the circuit was last used, a second early at most.
    pub(super) fn try_look<T>(&self, now: u64, work: impl FnOnce(&mut Machine, u64) -> T) -> Option<T> {
        let mut behind = self.machine.try_lock().ok()?;
        let look = |behind: &mut Behind, news| {
            behind.learn(news, now);
            let used = u64::from(behind.used) << 30;
            work(&mut behind.machine, used)
        };
        Some(self.work(&mut behind, look).0)
    }

    /// Only to look at what successes and refusals do not touch.
    pub(super) fn lock(&self) -> MutexGuard<'_, Behind> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `work` is also given whether there was anything that the machine did not know of.
    fn work<T>(&self, behind: &mut Behind, work: impl FnOnce(&mut Behind, bool) -> T) -> (T, bool) {
        // a panic in here leaves it closed, and every call asks
        let news = self.take_over(behind);
        let out = work(behind, news);
        self.publish(behind);
        (out, behind.machine.has_changes())
    }

    /// Closes, and tells the machine what was counted beside it. Whether there was any.
    #[inline]
    fn take_over(&self, behind: &mut Behind) -> bool {
        // only the lock's holder opens it, so what is closed here stays so
        let closed = self.good.load(Ordering::Relaxed) == CLOSED;
        let refused = self.refused.load(Ordering::Relaxed) > 0;
        if closed && !refused {
            return false;
        }
        let last = if closed { behind.opened_at } else { low(self.good.swap(CLOSED, Ordering::AcqRel)) };
        let good = last - behind.opened_at;
        // the next number, so that the word is never again what it was
        behind.opened_at = if last >= u32::MAX - 1 { 0 } else { last + 1 };
        let refused = if refused { self.refused.swap(0, Ordering::Relaxed) } else { 0 };
        behind.machine.take_over(good, refused);
        good > 0 || refused > 0
    }

    /// Says what calls may do until the lock is taken again.
    fn publish(&self, behind: &Behind) {
        let machine = &behind.machine;
        let standing = machine.standing();
        let (kind, until) = match standing {
            Standing::Asks => (ASK, 0),
            Standing::Flows { calm_until } => (FLOWS, calm_until.unwrap_or(0)),
            // what time changes is done before anything that happens after it is counted
            Standing::Tracked { due, calm_until } => (TRACKED, due.min(calm_until.unwrap_or(due))),
            Standing::Refuses { state: State::ForcedOpen, until } => (FORCED, until),
            Standing::Refuses { until, .. } => {
                let place = (OPEN..).zip(REASONS).find(|(_, reason)| *reason == machine.reason);
                place.map_or((ASK, 0), |(kind, _)| (kind, until))
            }
        };
        let pass = word(machine.generation, kind);
        // what is the same is not written: all others read it
        if self.until.load(Ordering::Relaxed) != until {
            if self.pass.load(Ordering::Relaxed) != pass {
                self.pass.store(word(0, ASK), Ordering::Release);
            }
            self.until.store(until, Ordering::Release);
        }
        set(&self.slow, nanos(machine.config.slow));
        set(&self.pass, pass);
        let calm =
            matches!(standing, Standing::Flows { calm_until: Some(_) } | Standing::Tracked { calm_until: Some(_), .. });
        if calm && until > 0 {
            self.good.store(word(machine.generation, behind.opened_at), Ordering::Release);
        }
    }
}

fn set(to: &AtomicU64, value: u64) {
    if to.load(Ordering::Relaxed) != value {
        to.store(value, Ordering::Release);
    }
}

const fn word(high: u32, low: u32) -> u64 {
    (high as u64) << 32 | low as u64
}

const fn high(word: u64) -> u32 {
    (word >> 32) as u32
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half of a word")]
const fn low(word: u64) -> u32 {
    word as u32
}

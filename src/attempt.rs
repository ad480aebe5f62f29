//! Attempt number and deadline, for every layer below, whatever the request type is.
//!
//! A layer that knows them runs `inner.call` *and* every poll of the future that it got inside [`Attempt::scope`];
//! [`Attempt::current`] is then right in any `Service::call` and in any `async` block below. It needs no bound on the request
//! and so reaches reqwest's own request type; http requests carry the same value in their extensions besides.
//!
//! It is a thread-local that is set around synchronous code only: it does not cross `tower::buffer`, the worker of a tonic
//! `Channel`, or `tokio::spawn`. A layer below one of those sees no attempt and no deadline.
//!
//! Two directions, two values: layers below read the number and the deadline of the scope; the number that a layer reports
//! upward with [`Attempt::tell`] is kept apart. So calls that run beside each other, or one after another, in one scope do not
//! take each other for a retry layer above them.
//!
//! ```
//! use steadfast::attempt::Attempt;
//!
//! let (seen, _) = Attempt::new(2).scope(Attempt::current);
//! assert_eq!(seen.map(|a| a.number()), Some(2));
//! assert_eq!(Attempt::current(), None);
//! ```

use std::{cell::Cell, time::Duration};
use tokio::time::Instant;

/// The number of an attempt (1 is the first call; 0: no retry layer is above) and the deadline of the whole call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attempt {
    number: u32,
    deadline: Option<Instant>,
}

// A cell each, since a scope mostly changes the number alone.
thread_local! {
    /// Read by layers below. 0: there is no scope, and no deadline; else twice the number and one.
    static NUMBER: Cell<u64> = const { Cell::new(0) };
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Reported to the scope above: the highest number of an attempt that began within it. Nothing below reads it.
    static REPORTED: Cell<u32> = const { Cell::new(0) };
}

impl Attempt {
    /// Attempt `number`, without a deadline.
    pub const fn new(number: u32) -> Self {
        Self { number, deadline: None }
    }

    /// With the moment at which the whole call ends, however many attempts it takes.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The same deadline, another number.
    #[must_use]
    pub const fn with_number(mut self, number: u32) -> Self {
        self.number = number;
        self
    }

    /// 1 is the first call; 0: no retry layer is above.
    pub const fn number(self) -> u32 {
        self.number
    }

    /// When the whole call ends.
    pub const fn deadline(self) -> Option<Instant> {
        self.deadline
    }

    /// How much is left until the deadline: zero once it has passed, `None` without one.
    pub fn remaining(self) -> Option<Duration> {
        self.deadline.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// What the layers above said. `None`: nothing, or across a spawn.
    #[inline]
    pub fn current() -> Option<Self> {
        (NUMBER.get() != 0).then(Self::current_or_default)
    }

    /// The same where nothing was said: number 0, no deadline.
    #[inline]
    pub(crate) fn current_or_default() -> Self {
        Self { number: number_in(NUMBER.get()), deadline: DEADLINE.get() }
    }

    /// Runs `work` with `self` as the current attempt. Also returns the highest number among that of `self` and those that layers
    /// below reported with [`Attempt::tell`]. Restores the scope that was current before, also after a panic.
    pub fn scope<T>(self, work: impl FnOnce() -> T) -> (T, u32) {
        let _restore = self.enter();
        let _above = Reported::none_yet();
        let out = work();
        (out, REPORTED.get().max(self.number))
    }

    /// Runs `work` with `self` as the current attempt; what layers below report goes to the scope above.
    #[cfg(feature = "retry")]
    #[inline]
    pub(crate) fn run<T>(self, work: impl FnOnce() -> T) -> T {
        let _restore = self.enter();
        work()
    }

    /// Reports that this attempt begins, and runs `work` with it as the current one.
    #[cfg(all(feature = "retry", feature = "tower"))]
    #[inline]
    pub(crate) fn begin<T>(self, work: impl FnOnce() -> T) -> T {
        Self::tell(self.number);
        self.run(work)
    }

    /// Returns the same attempt, with `deadline` unless it has a sooner one.
    #[cfg(feature = "retry")]
    pub(crate) fn with_sooner_deadline(self, deadline: Instant) -> Self {
        match self.deadline {
            Some(own) if own <= deadline => self,
            _ => self.with_deadline(deadline),
        }
    }

    #[inline]
    fn enter(self) -> Restore {
        let mut restore = Restore::number(self.number);
        // mostly there is neither, and that is seen without comparing them
        if self.deadline.is_some() || DEADLINE.get().is_some() {
            restore.deadline = Before::replaced_by(self.deadline);
        }
        restore
    }

    /// Reports to the scope around this call that attempt `number` begins: a deadline that expires there names it. Layers below
    /// and calls beside this one do not see it.
    #[inline]
    pub fn tell(number: u32) {
        if number > REPORTED.get() {
            REPORTED.set(number);
        }
    }
}

/// Sets apart what is reported within one scope from the scope above, until it is dropped.
struct Reported {
    above: u32,
}

impl Reported {
    #[inline]
    fn none_yet() -> Self {
        Self { above: REPORTED.replace(0) }
    }
}

impl Drop for Reported {
    #[inline]
    fn drop(&mut self) {
        REPORTED.set(self.above);
    }
}

const fn said(number: u32) -> u64 {
    (number as u64) << 1 | 1
}

/// 0 where nothing was said.
#[expect(clippy::cast_possible_truncation, reason = "only what `said` made of a u32 is stored")]
const fn number_in(said: u64) -> u32 {
    (said >> 1) as u32
}

/// What was the deadline before.
struct Before(Option<Instant>);

impl Before {
    /// Makes `deadline` current, if another one is.
    fn replaced_by(deadline: Option<Instant>) -> Option<Self> {
        let before = DEADLINE.get();
        if before == deadline {
            return None;
        }
        DEADLINE.set(deadline);
        Some(Self(before))
    }
}

/// Makes current again what was so before; the deadline only where another one was set.
struct Restore {
    number: u64,
    deadline: Option<Before>,
}

impl Restore {
    #[inline]
    fn number(number: u32) -> Self {
        Self { number: NUMBER.replace(said(number)), deadline: None }
    }
}

impl Drop for Restore {
    #[inline]
    fn drop(&mut self) {
        NUMBER.set(self.number);
        if let Some(Before(deadline)) = self.deadline {
            DEADLINE.set(deadline);
        }
    }
}

/// `after` from now; a moment decades away where the sum is beyond what an `Instant` holds.
pub(crate) fn deadline_after(after: Duration) -> Instant {
    moment_after(Instant::now(), after)
}

/// The same, from a moment that is known.
pub(crate) fn moment_after(moment: Instant, after: Duration) -> Instant {
    moment.checked_add(after).unwrap_or_else(|| moment + FAR)
}

/// As far as "never" needs to be: thirty years.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

//! The last attempts of a call that may have been executed, reported to the worker whose message the call serves.
//!
//! A refusal that follows such an attempt in the same call is no refusal of the message: the attempt counts, with its status. The
//! error alone does not show it where the retry is not one of this crate's, or where the type of the error cannot hold a
//! [`MaybeExecuted`](super::MaybeExecuted).
//!
//! Like [`Attempt`](crate::attempt::Attempt) it is set around synchronous code only, and crosses no buffer and no spawn.

use super::LastAttempt;
#[cfg(any(feature = "retry", feature = "circuit-breaker"))]
use super::{Outcome, Verdict};
#[cfg(any(feature = "retry", feature = "circuit-breaker"))]
use http::StatusCode;
#[cfg(feature = "queue")]
use std::mem;
use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

type Entries = Vec<(Arc<str>, LastAttempt)>;

thread_local! {
    static LISTENING: Cell<bool> = const { Cell::new(false) };
    static REPORTED: RefCell<Entries> = const { RefCell::new(Vec::new()) };
}

/// The last failed attempt that each layer below reported.
#[cfg(feature = "queue")]
#[derive(Debug, Default)]
pub(crate) struct Reported {
    entries: Entries,
}

#[cfg(feature = "queue")]
impl Reported {
    /// Runs `work`, and keeps what layers below report.
    pub(crate) fn listen<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let _restore = Restore::instead_of(mem::take(&mut self.entries));
        let out = work();
        self.entries = REPORTED.take();
        out
    }

    /// The last failed attempt through the layer of this name, if no success followed it.
    pub(crate) fn of(&self, name: &str) -> Option<LastAttempt> {
        self.entries.iter().find(|(by, _)| **by == *name).map(|(_, last)| *last)
    }

    /// The last failed attempt through any layer.
    pub(crate) fn any(&self) -> Option<LastAttempt> {
        self.entries.last().map(|(_, last)| *last)
    }
}

/// Puts the entries of the scope above back, also after a panic.
#[cfg(feature = "queue")]
struct Restore {
    above: Entries,
    listening: bool,
}

#[cfg(feature = "queue")]
impl Restore {
    fn instead_of(entries: Entries) -> Self {
        Self { above: REPORTED.replace(entries), listening: LISTENING.replace(true) }
    }
}

#[cfg(feature = "queue")]
impl Drop for Restore {
    fn drop(&mut self) {
        LISTENING.set(self.listening);
        REPORTED.replace(mem::take(&mut self.above));
    }
}

/// Whether a worker listens: else nothing need be reported.
#[cfg(any(feature = "retry", feature = "circuit-breaker"))]
#[inline]
pub(crate) fn is_reported() -> bool {
    LISTENING.get()
}

/// Reports the outcome of an attempt that the layer `name` let through: a failure is kept, a success ends what was kept.
#[cfg(any(feature = "retry", feature = "circuit-breaker"))]
#[cold]
pub(crate) fn report(name: &Arc<str>, verdict: &Verdict, status: Option<StatusCode>, number: u32) {
    let failed = match verdict.outcome() {
        Outcome::Failure(_) => LastAttempt::of(verdict.outcome(), status.map(|status| status.as_u16()), number),
        Outcome::Success | Outcome::Rejected => None,
        // nothing new is known
        _ => return,
    };
    REPORTED.with_borrow_mut(|entries| {
        entries.retain(|(by, _)| by != name);
        entries.extend(failed.map(|last| (name.clone(), last)));
    });
}

//! Locks under which no foreign code runs, and foreign code whose panics end here.
//!
//! Foreign is everything that users supply: wakers, futures, bodies, errors, closures, metrics recorders, tracing subscribers. It
//! may use the very object that calls it, so a lock that is held meanwhile is a deadlock; and it may panic.
#![allow(dead_code, reason = "each pattern uses its own of them")]

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError},
    task::Waker,
};

/// A mutex that a panic does not poison.
///
/// There is no guard to hold: what `work` takes out of the value is returned, and dropped after the lock is released. A guard that
/// is a temporary lives until the end of its statement, or of a whole `match` or `if let`, and so do the drops in it.
#[derive(Default)]
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Runs `work` under the lock. It runs no foreign code: what is to be woken or dropped it returns.
    #[inline]
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let mut value = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut value)
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `work`, and returns what it panicked with if it did. The caller looks at nothing that `work` may have left half done.
#[inline]
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(work))
}

/// Runs foreign code whose result nobody needs: a waker, a recorder, a subscriber, a drop. Its panic ends here, because it would
/// otherwise end what has nothing to do with it, or, out of a drop, the process.
#[inline]
pub(crate) fn unharmed(work: impl FnOnce()) {
    if let Err(payload) = caught(work) {
        // its drop is foreign too
        let _ = caught(|| drop(payload));
    }
}

/// Wakers that are called after a lock is released: all of them, also when one of them panics.
#[must_use = "they are woken when this is dropped, after the lock"]
#[derive(Default)]
pub(crate) struct WakeList(Vec<Waker>);

impl WakeList {
    pub(crate) fn extend(&mut self, wakers: impl IntoIterator<Item = Waker>) {
        self.0.extend(wakers);
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<Waker> for WakeList {
    fn from_iter<I: IntoIterator<Item = Waker>>(wakers: I) -> Self {
        Self(wakers.into_iter().collect())
    }
}

impl Drop for WakeList {
    fn drop(&mut self) {
        for waker in mem::take(&mut self.0) {
            unharmed(|| waker.wake());
        }
    }
}

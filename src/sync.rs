//! Locks under which no foreign code runs.
//!
//! Foreign is everything that users supply: wakers, futures, bodies, errors, closures, metrics recorders, tracing subscribers. It
//! may use the very object that calls it, so a lock that is held meanwhile is a deadlock; and it may panic.

#[cfg(any(feature = "circuit-breaker", feature = "testing"))]
use crate::panic::unharmed;
#[cfg(any(feature = "idempotency", feature = "queue"))]
use std::sync::{Mutex, PoisonError};
#[cfg(any(feature = "circuit-breaker", feature = "testing"))]
use std::task::Waker;

/// A mutex that a panic does not poison.
///
/// There is no guard to hold: what `work` takes out of the value is returned, and dropped after the lock is released. A guard that
/// is a temporary lives until the end of its statement, or of a whole `match` or `if let`, and so do the drops in it.
#[cfg(any(feature = "idempotency", feature = "queue"))]
#[derive(Default)]
pub(crate) struct Lock<T>(Mutex<T>);

#[cfg(any(feature = "idempotency", feature = "queue"))]
impl<T> Lock<T> {
    /// Runs `work` under the lock. It runs no foreign code: what is to be woken or dropped it returns.
    #[inline]
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    #[cfg(all(test, feature = "queue"))]
    pub(crate) fn is_free(&self) -> bool {
        self.0.try_lock().is_ok()
    }
}

/// Wakers that are called after a lock is released: all of them, also when one of them panics.
#[cfg(any(feature = "circuit-breaker", feature = "testing"))]
#[must_use = "they are woken when this is dropped, after the lock"]
#[derive(Default)]
pub(crate) struct WakeList(Vec<Waker>);

#[cfg(any(feature = "circuit-breaker", feature = "testing"))]
impl WakeList {
    #[cfg(feature = "circuit-breaker")]
    pub(crate) fn extend(&mut self, wakers: impl IntoIterator<Item = Waker>) {
        self.0.extend(wakers);
    }

    #[cfg(feature = "circuit-breaker")]
    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    #[cfg(all(test, feature = "circuit-breaker"))]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(any(feature = "circuit-breaker", feature = "testing"))]
impl FromIterator<Waker> for WakeList {
    fn from_iter<I: IntoIterator<Item = Waker>>(wakers: I) -> Self {
        Self(wakers.into_iter().collect())
    }
}

#[cfg(any(feature = "circuit-breaker", feature = "testing"))]
impl Drop for WakeList {
    fn drop(&mut self) {
        for waker in std::mem::take(&mut self.0) {
            unharmed(|| waker.wake());
        }
    }
}

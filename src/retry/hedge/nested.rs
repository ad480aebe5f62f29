//! How a hedge layer knows that one above it hedges the same call.

use std::cell::Cell;

// Around synchronous code only, like `Attempt`.
thread_local! { static HEDGED: Cell<bool> = const { Cell::new(false) }; }

/// Returns whether a hedge layer above may send this call a second time.
pub(super) fn is_nested() -> bool {
    HEDGED.get()
}

/// Runs `work`, a call or a poll of an attempt that is hedged here.
pub(super) fn run<T>(work: impl FnOnce() -> T) -> T {
    let _restore = Restore(HEDGED.replace(true));
    work()
}

/// Runs `work` as [`run`] does, where that attempt is hedged.
pub(super) fn run_if<T>(hedges: bool, work: impl FnOnce() -> T) -> T {
    if hedges { run(work) } else { work() }
}

/// Restores the value from before, also after a panic.
struct Restore(bool);

impl Drop for Restore {
    fn drop(&mut self) {
        HEDGED.set(self.0);
    }
}

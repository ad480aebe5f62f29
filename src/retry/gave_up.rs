//! How a retry layer tells the [`MarkerLayer`](super::MarkerLayer) of the server it works for that it gave up.

use super::Stop;
use crate::classify::{Outcome, Verdict};
use std::cell::Cell;

// Around synchronous code only, like `Attempt`. `None`: no server asks.
thread_local! { static TOLD: Cell<Option<bool>> = const { Cell::new(None) }; }

/// A call failed for good after `made` attempts. Told where it was repeated, or would have been but for the budget or the
/// word of the other side: the tiers above would only multiply that.
pub(super) fn tell(verdict: Verdict, made: u32, stop: Stop) {
    let failed = matches!(verdict.outcome(), Outcome::Failure(_) | Outcome::Refused);
    if failed && (made > 1 || matches!(stop, Stop::Budget | Stop::Pushback)) && TOLD.get().is_some() {
        TOLD.set(Some(true));
    }
}

/// Runs `work`, and notes in `told` whether a call gave up in it.
pub(super) fn listen<T>(told: &mut bool, work: impl FnOnce() -> T) -> T {
    let _restore = Restore(TOLD.replace(Some(*told)));
    let out = work();
    *told = TOLD.get() == Some(true);
    out
}

/// Makes it again what it was before, also after a panic.
struct Restore(Option<bool>);

impl Drop for Restore {
    fn drop(&mut self) {
        TOLD.set(self.0);
    }
}

//! Requests that layers below let through within one attempt of a retry layer above.
//!
//! A layer that follows redirects, or a handler that calls two servers, sits between the retry layer and the layers that see each
//! request. The error that comes out is about the last of these requests; whether an earlier one was executed, it does not show.
//! So a layer that lets a request through counts it here, and takes it back only if that request was never sent.
//!
//! Like [`Attempt`](crate::attempt::Attempt) it is set around synchronous code only, and crosses no buffer and no spawn.

use std::cell::Cell;

thread_local! {
    /// Requests of this attempt that may have been sent; `None`: no layer above asks.
    static SENT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Counts a request that a layer lets through. Returns whether a layer above asks.
#[inline]
pub(crate) fn let_through() -> bool {
    let sent = SENT.get();
    if sent.is_some() {
        SENT.set(sent.map(|sent| sent.saturating_add(1)));
    }
    sent.is_some()
}

/// Takes back a request that [`let_through`] counted: it was never sent.
#[cold]
pub(crate) fn never_sent() {
    SENT.set(SENT.get().map(|sent| sent.saturating_sub(1)));
}

/// Runs `work`, and adds to `sent` the requests that layers below let through.
#[cfg(feature = "retry")]
#[inline]
pub(crate) fn count<T>(sent: &mut u32, work: impl FnOnce() -> T) -> T {
    let _restore = Restore(SENT.replace(Some(*sent)));
    let out = work();
    *sent = SENT.get().unwrap_or_default();
    out
}

/// Puts the count of the scope above back, also after a panic.
#[cfg(feature = "retry")]
struct Restore(Option<u32>);

#[cfg(feature = "retry")]
impl Drop for Restore {
    #[inline]
    fn drop(&mut self) {
        SENT.set(self.0);
    }
}

use super::{Failure, Verdict};
use std::{fmt, sync::Arc};

/// Two words that whoever records gave out with the call and gets back with its verdict (a circuit's permit).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ticket(pub [u64; 2]);

/// Who wants to know what an attempt came to.
pub trait Record: Send + Sync + 'static {
    /// Told once for each [`Recorder`]; must not block and must not panic.
    fn record(&self, ticket: Ticket, verdict: Verdict);
}

/// Tells a [`Record`] exactly once: what it is given, [`Verdict::dropped`] when it is dropped before, and
/// [`Failure::Fault`] when a panic drops it.
// Why `Arc<dyn Record>` and a ticket, and no type parameter: a watched body is then `Watch<B>` for every pattern, and an
// `Arc` of a circuit becomes one of these without an allocation.
pub struct Recorder {
    to: Option<Arc<dyn Record>>,
    ticket: Ticket,
}

impl Recorder {
    /// `ticket` goes back to `to` with the verdict.
    pub fn new(to: Arc<dyn Record>, ticket: Ticket) -> Self {
        Self { to: Some(to), ticket }
    }

    /// Tells nobody: for a response that has to be watched although its verdict is known.
    pub const fn nobody() -> Self {
        Self { to: None, ticket: Ticket([0; 2]) }
    }

    /// Tells what the attempt came to.
    #[inline]
    pub fn record(self, verdict: impl Into<Verdict>) {
        // one that tells nobody, as where the verdict is known before the body, is done with one comparison
        if self.to.is_some() {
            self.tell(verdict.into());
        }
    }

    #[inline(never)]
    fn tell(mut self, verdict: Verdict) {
        self.settle(verdict);
    }

    fn settle(&mut self, verdict: Verdict) {
        if let Some(to) = self.to.take() {
            to.record(self.ticket, verdict);
        }
    }

    #[cold]
    #[inline(never)]
    fn break_off(&mut self) {
        self.settle(if std::thread::panicking() { Failure::Fault.into() } else { Verdict::dropped() });
    }
}

impl Drop for Recorder {
    #[inline]
    fn drop(&mut self) {
        if self.to.is_some() {
            self.break_off();
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("ticket", &self.ticket).field("told", &self.to.is_none()).finish()
    }
}

use super::{Failure, Verdict};
use std::{fmt, sync::Arc, time::Duration};

/// Two words that a [`Record`] gives out with the call and gets back with its verdict (a circuit's permit).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ticket(pub [u64; 2]);

/// A pattern that records the outcome of a response. Every response has its head by the time that a [`Recorder`] is made.
pub trait Record: Send + Sync + 'static {
    /// Records the outcome: once for each [`Recorder`]. Must not block and must not panic.
    fn record(&self, ticket: Ticket, verdict: Verdict);

    /// Whether a response that its caller gives up counts as a failure of the server, if the caller has waited for the next
    /// part of its body for `pending`. Must not block and must not panic. Default: `false`.
    fn stalled(&self, ticket: Ticket, pending: Duration) -> bool {
        let _ = (ticket, pending);
        false
    }

    /// Whether the first proof of health decides the call: a good head, or where the status comes last the first message. The
    /// outcome is then recorded at once, and what the body does later is not. Must not block and must not panic. Default:
    /// `false`.
    fn settles_early(&self, ticket: Ticket) -> bool {
        let _ = ticket;
        false
    }
}

/// Reports to a [`Record`] exactly once: the verdict that it is given, [`Verdict::dropped`] when it is dropped before, and
/// [`Failure::Fault`] when a panic drops it.
// Why `Arc<dyn Record>` and a ticket, and no type parameter: a watched body is then `Watch<B>` for every pattern, and an
// `Arc` of a circuit becomes one of these without an allocation.
pub struct Recorder {
    to: Option<Arc<dyn Record>>,
    ticket: Ticket,
}

impl Recorder {
    /// Creates a recorder that reports to `to`; `ticket` goes back with the verdict.
    pub fn new(to: Arc<dyn Record>, ticket: Ticket) -> Self {
        Self { to: Some(to), ticket }
    }

    /// Creates a recorder that reports to nothing: for a response that has to be watched although its verdict is known.
    pub const fn nobody() -> Self {
        Self { to: None, ticket: Ticket([0; 2]) }
    }

    /// Whether it reports to nothing: it is [`nobody`](Self::nobody)'s, or was taken.
    pub const fn is_nobody(&self) -> bool {
        self.to.is_none()
    }

    /// Takes the recorder out, and leaves one that reports to nothing.
    pub(crate) const fn take(&mut self) -> Self {
        std::mem::replace(self, Self::nobody())
    }

    /// See [`Record::stalled`].
    pub fn stalled(&self, pending: Duration) -> bool {
        self.to.as_ref().is_some_and(|to| to.stalled(self.ticket, pending))
    }

    /// See [`Record::settles_early`].
    pub fn settles_early(&self) -> bool {
        self.to.as_ref().is_some_and(|to| to.settles_early(self.ticket))
    }

    /// Records the outcome of the attempt.
    #[inline]
    pub fn record(self, verdict: impl Into<Verdict>) {
        // one that reports to nothing, as where the verdict is known before the body, is done with one comparison
        if self.to.is_some() {
            self.report(verdict.into());
        }
    }

    #[inline(never)]
    fn report(mut self, verdict: Verdict) {
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

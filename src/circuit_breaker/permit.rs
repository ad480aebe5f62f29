use super::view::{Reason, State};
use crate::classify::{Failure, Outcome, Ticket, Verdict};
use std::time::Duration;

/// Leave for one call; given back, once, with what the call came to.
///
/// It carries the generation of the circuit: after any change of state it is stale and moves nothing.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not recorded stays out until its lease ends"]
pub struct Permit {
    pub(super) generation: u32,
    pub(super) slot: u32,
    pub(super) started: u64,
}

/// The slot of a call that is not kept track of.
pub(super) const NO_SLOT: u32 = u32::MAX;
/// The generation of a call that nobody counts. No circuit is ever in it.
pub(super) const UNCOUNTED: u32 = 0;

impl Permit {
    pub(super) const fn new(generation: u32, slot: u32, started: u64) -> Self {
        Self { generation, slot, started }
    }

    /// When the call was let through, in nanoseconds since the circuit's origin.
    pub const fn started(&self) -> u64 {
        self.started
    }

    /// Whether its outcome will be looked at, if nothing changes until then: not while a circuit is disabled, nor for a call
    /// that only a shadowed circuit let through.
    pub const fn is_counted(&self) -> bool {
        self.generation != UNCOUNTED
    }
}

/// A permit whose call has the head of its response. The time of a call ends with the head: nothing that the body does later
/// makes it slow.
///
/// [`Machine::head`](super::state::Machine::head) turns a [`Permit`] into it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not recorded stays out until its lease ends"]
pub struct Answered {
    pub(super) generation: u32,
    pub(super) kind: Kind,
}

/// What is known of a call with a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// How long the head took, in nanoseconds.
    Took(u64),
    /// It was counted as slow before its head arrived, as this sample.
    Crossed(u64),
    /// A probe, which stays out until its outcome is known.
    Probe { slot: u32, started: u64 },
}

/// No slot is as high as these.
const TOOK: u32 = u32::MAX;
const CROSSED: u32 = u32::MAX - 1;
/// Slots are below.
pub(super) const SLOTS: u32 = CROSSED;

impl Answered {
    pub(super) const fn new(generation: u32, kind: Kind) -> Self {
        Self { generation, kind }
    }

    pub(super) const fn is_probe(&self) -> bool {
        matches!(self.kind, Kind::Probe { .. })
    }

    pub(super) const fn to_ticket(&self) -> Ticket {
        let (first, slot) = match self.kind {
            Kind::Took(took) => (took, TOOK),
            Kind::Crossed(sample) => (sample, CROSSED),
            Kind::Probe { slot, started } => (started, slot),
        };
        Ticket([first, (self.generation as u64) << 32 | slot as u64])
    }

    #[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
    pub(super) const fn from_ticket(ticket: Ticket) -> Self {
        let [first, rest] = ticket.0;
        let kind = match rest as u32 {
            TOOK => Kind::Took(first),
            CROSSED => Kind::Crossed(first),
            slot => Kind::Probe { slot, started: first },
        };
        Self { generation: (rest >> 32) as u32, kind }
    }
}

/// What a call says about the health of the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// It is well.
    Success,
    /// It is not.
    Failure,
    /// It has too much to do: counts for the rate and fails a probe, and leaves a run of failures as it is.
    Overloaded,
    /// Nothing; the permit comes back.
    Neutral,
    /// The caller gave up before there was a head: a failure once the call was slow, else nothing. After the head: nothing.
    Dropped,
}

impl From<&Verdict> for Signal {
    fn from(verdict: &Verdict) -> Self {
        if verdict.is_neutral_for_health() {
            return Self::Neutral;
        }
        match verdict.outcome() {
            Outcome::Success | Outcome::Rejected => Self::Success,
            Outcome::Failure(Failure::Overloaded) => Self::Overloaded,
            Outcome::Failure(_) => Self::Failure,
            Outcome::Ignored if verdict.is_dropped() => Self::Dropped,
            Outcome::Ignored | Outcome::Refused => Self::Neutral,
        }
    }
}

/// The circuit said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    pub(super) state: State,
    pub(super) reason: Reason,
    pub(super) retry_after: Option<Duration>,
}

impl Rejected {
    /// `Open`, `HalfOpen` or `ForcedOpen`; `Closed` while it ramps up.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Why the circuit is in that state.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// When a call would be let through; `None`: nobody knows, it hangs on probes or on a person.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The cause, in a few words.
    pub const fn why(&self) -> &'static str {
        match (self.state, self.reason) {
            (State::ForcedOpen, _) => "circuit forced open",
            (State::Closed, _) => "circuit closed, the share of calls that go through is growing",
            (State::HalfOpen, _) => "circuit half-open, all probes are out",
            (_, Reason::ConsecutiveFailures) => "circuit open after a run of failures",
            (_, Reason::FailureRate) => "circuit open, the failure rate is too high",
            (_, Reason::SlowRate) => "circuit open, too many calls are slow",
            (_, Reason::ProbeFailed) => "circuit open again, probes failed",
            (_, Reason::ProbeSlow) => "circuit open again, probes were slow",
            (_, Reason::LeaseExpired) => "circuit open again, a probe did not end",
            _ => "circuit open",
        }
    }
}

use crate::backoff::Hint;
use std::{fmt, time::Duration};

/// What an attempt came to. Each pattern decides for itself what to do about it: see the table in the
/// [module docs](crate::classify).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Done.
    Success,
    /// Not done, and another attempt may do it.
    Failure(Failure),
    /// The other side is well and says no.
    Rejected,
    /// This side said no; nothing was sent.
    Refused,
    /// Says nothing about the other side.
    Ignored,
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// It never reached the other side.
    NotSent,
    /// The other side has too much to do.
    Overloaded,
    /// No answer in time: it may or may not have happened.
    Timeout,
    /// The connection broke, or the other side is away for a moment.
    Transient,
    /// Something is wrong in the other side.
    Fault,
}

impl Outcome {
    /// The name under which events and metrics carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure(Failure::NotSent) => "not_sent",
            Self::Failure(Failure::Overloaded) => "overloaded",
            Self::Failure(Failure::Timeout) => "timeout",
            Self::Failure(Failure::Transient) => "transient",
            Self::Failure(Failure::Fault) => "fault",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::Ignored => "ignored",
        }
    }

    /// Whether it says that no server received the request.
    #[cfg(any(feature = "retry", feature = "circuit-breaker"))]
    pub(crate) const fn claims_not_sent(self) -> bool {
        matches!(self, Self::Refused | Self::Failure(Failure::NotSent))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An [`Outcome`], with what came along with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    outcome: Outcome,
    hint: Option<Hint>,
    once: bool,
    neutral: bool,
    dropped: bool,
}

impl Verdict {
    /// Only the outcome.
    pub const fn new(outcome: Outcome) -> Self {
        Self { outcome, hint: None, once: false, neutral: false, dropped: false }
    }

    /// This side said no, until `retry_after` from now if that is known.
    pub const fn refused(retry_after: Option<Duration>) -> Self {
        let hint = match retry_after {
            Some(after) => Some(Hint::AtLeast(after)),
            None => None,
        };
        Self { hint, ..Self::new(Outcome::Refused) }
    }

    /// [`Outcome::Ignored`], because the call was dropped before it came to anything.
    pub const fn dropped() -> Self {
        Self { dropped: true, ..Self::new(Outcome::Ignored) }
    }

    /// With what the other side said about when to come again.
    #[must_use]
    pub const fn with_hint(mut self, hint: Option<Hint>) -> Self {
        self.hint = hint;
        self
    }

    /// To be repeated once at most (425).
    #[must_use]
    pub const fn only_once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Tells a circuit nothing (501, UNIMPLEMENTED: well, but not for this call).
    #[must_use]
    pub const fn neutral_for_health(mut self) -> Self {
        self.neutral = true;
        self
    }

    /// What the attempt came to.
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// What the other side (for `Refused`: this side) said about when to come again.
    pub const fn hint(&self) -> Option<Hint> {
        self.hint
    }

    /// Whether a repeat is right once at most.
    pub const fn is_only_once(&self) -> bool {
        self.once
    }

    /// Whether it stands for a call that was dropped: how long that one took may still say something.
    pub const fn is_dropped(&self) -> bool {
        self.dropped
    }

    /// Whether a circuit learns nothing from it, whatever the outcome.
    pub const fn is_neutral_for_health(&self) -> bool {
        self.neutral
    }
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        Self::new(outcome)
    }
}

impl From<Failure> for Verdict {
    fn from(failure: Failure) -> Self {
        Self::new(Outcome::Failure(failure))
    }
}

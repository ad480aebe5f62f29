use std::fmt;

/// Why a call was not tried (again).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stop {
    /// It succeeded.
    Succeeded,
    /// Another attempt would come to the same, or was not asked for: a rejection, a fault, a refusal with no end in sight.
    Final,
    /// It may have been received, and doing it twice may do it twice.
    NotSafe,
    /// All retries were used.
    Exhausted,
    /// The other side said not to come again: gRPC pushback, or the [marker](super::MarkerLayer) of a tier that has repeated.
    Pushback,
    /// The other side said when to come again, and that is too far away.
    HintTooFar,
    /// The wait would have reached the deadline of the whole call.
    Deadline,
    /// The budget was empty.
    Budget,
    /// The request could not be made again: its body was over the cap, failed, or is still in use.
    NotReplayable,
    /// A retry layer above repeats it.
    Nested,
    /// The request said so: see [`NoRetry`](super::NoRetry).
    Forbidden,
}

impl Stop {
    /// The name under which events and metrics carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Final => "final",
            Self::NotSafe => "not_safe",
            Self::Exhausted => "exhausted",
            Self::Pushback => "pushback",
            Self::HintTooFar => "hint_too_far",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
            Self::NotReplayable => "not_replayable",
            Self::Nested => "nested",
            Self::Forbidden => "forbidden",
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

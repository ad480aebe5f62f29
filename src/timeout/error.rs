use crate::error::StatusSource;
use std::{error::Error, fmt};

/// Which deadline struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// The one of the whole call.
    Total,
    /// The one of a single attempt.
    Attempt,
}

/// A deadline struck before the answer came: what the other side did is unknown.
///
/// With the feature `tonic` its `source()` is a `tonic::Status` (`DEADLINE_EXCEEDED`).
#[derive(Debug, Clone)]
pub struct Elapsed {
    limit: Limit,
    attempts: u32,
    status: StatusSource,
}

impl Elapsed {
    /// `attempts`: how many had begun; 0 where no retry layer counts them.
    pub const fn new(limit: Limit, attempts: u32) -> Self {
        Self { limit, attempts, status: StatusSource::new() }
    }

    /// Which deadline it was.
    pub const fn limit(&self) -> Limit {
        self.limit
    }

    /// How many attempts had begun; 0 where no retry layer counts them.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.limit, self.attempts) {
            (Limit::Total, 0) => f.write_str("the deadline of the call elapsed"),
            (Limit::Total, n) => write!(f, "the deadline of the call elapsed in attempt {n}"),
            (Limit::Attempt, 0) => f.write_str("the attempt timed out"),
            (Limit::Attempt, n) => write!(f, "attempt {n} timed out"),
        }
    }
}

impl Error for Elapsed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.status.deadline_exceeded(self)
    }
}

use crate::error::Facts;
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
/// Its `source()` is an `Elapsed` with the same facts, so that it is also found in an error type that forwards to it
/// (`#[error(transparent)]`, anyhow). The source of that one is, with the feature `tonic`, a `tonic::Status`
/// (`DEADLINE_EXCEEDED`).
#[derive(Clone)]
pub struct Elapsed {
    limit: Limit,
    attempts: u32,
    below: Facts<Self>,
}

impl Elapsed {
    /// `attempts`: how many had begun; 0 where no retry layer counts them.
    pub const fn new(limit: Limit, attempts: u32) -> Self {
        Self { limit, attempts, below: Facts::new() }
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

impl Elapsed {
    fn text(&self) -> String {
        match (self.limit, self.attempts) {
            (Limit::Total, 0) => "the deadline of the call elapsed".to_owned(),
            (Limit::Total, n) => format!("the deadline of the call elapsed in attempt {n}"),
            (Limit::Attempt, 0) => "the attempt timed out".to_owned(),
            (Limit::Attempt, n) => format!("attempt {n} timed out"),
        }
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.below.is_copy() { f.write_str("the outcome is unknown") } else { f.write_str(&self.text()) }
    }
}

impl fmt::Debug for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elapsed").field("limit", &self.limit).field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

impl Error for Elapsed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let copy = |status| Self { below: Facts::copy(status), ..self.clone() };
        self.below.source(copy, |status| status.deadline_exceeded(&self.text()))
    }
}

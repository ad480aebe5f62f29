use super::{Failure, Outcome, Verdict};
use crate::error::{BoxError, Facts};
use std::{error::Error, fmt, sync::Arc};

/// The server may have executed the request, although the error that ended the call is a refusal or a failed connect.
///
/// A retry layer fails with it where an attempt may have been executed and a later one was refused or could not connect, and
/// where a redirect was followed before the connection failed. Without it, a layer further out would find
/// [`Refused`](crate::error::Refused) or a connect error, conclude that the request was never sent, and repeat a request that is
/// not repeatable. So the cause is not part of the `source()` chain; [`cause`](Self::cause) returns it. [`of_error`](super::of_error)
/// judges this error as the last attempt that reached the server.
///
/// Its `source()` is a `MaybeExecuted` with the same facts, so that it is also found in an error type that forwards to it
/// (`#[error(transparent)]`, anyhow). The source of that one is, with the feature `tonic`, a `tonic::Status` (UNAVAILABLE).
pub struct MaybeExecuted {
    last: LastAttempt,
    cause: Arc<dyn Error + Send + Sync>,
    below: Facts<Self>,
}

/// The last attempt of a call that may have been executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastAttempt {
    /// The outcome, without a hint: that one was meant for another moment.
    pub(crate) outcome: Outcome,
    /// The status of its response; `None`: there was no response.
    pub(crate) status: Option<u16>,
    /// Its number; 0 where no retry layer counts attempts.
    pub(crate) number: u32,
}

impl LastAttempt {
    /// An attempt with this outcome; `None`: it proves that the server did not execute the request, or shows nothing.
    #[cfg_attr(
        not(any(feature = "retry", feature = "circuit-breaker")),
        expect(dead_code, reason = "those layers make it")
    )]
    pub(crate) const fn of(outcome: Outcome, status: Option<u16>, number: u32) -> Option<Self> {
        match outcome {
            Outcome::Failure(Failure::NotSent) | Outcome::Refused | Outcome::Ignored => None,
            _ => Some(Self { outcome, status, number }),
        }
    }
}

impl fmt::Display for LastAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            0 => f.write_str("the last attempt")?,
            number => write!(f, "attempt {number}")?,
        }
        write!(f, " ended as {}", self.outcome)?;
        self.status.map_or(Ok(()), |status| write!(f, " with status {status}"))
    }
}

impl MaybeExecuted {
    #[cfg_attr(not(feature = "retry"), expect(dead_code, reason = "retry makes it"))]
    pub(crate) fn new(last: LastAttempt, cause: BoxError) -> Self {
        Self { last, cause: cause.into(), below: Facts::new() }
    }

    /// The outcome of the last attempt that may have been executed.
    pub const fn outcome(&self) -> Outcome {
        self.last.outcome
    }

    /// The status of that attempt's response; `None`: there was no response.
    pub const fn status(&self) -> Option<u16> {
        self.last.status
    }

    /// The number of that attempt; 0 where no retry layer counts attempts.
    pub const fn attempt(&self) -> u32 {
        self.last.number
    }

    /// The error that ended the call: a refusal of this process, or a failed connect.
    pub fn cause(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.cause
    }

    pub(crate) const fn verdict(&self) -> Verdict {
        Verdict::new(self.last.outcome)
    }
}

impl fmt::Display for MaybeExecuted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.below.is_copy() {
            return f.write_str("a repeat may execute it twice");
        }
        write!(f, "the request may have been executed: {}; then {}", self.last, self.cause)
    }
}

impl fmt::Debug for MaybeExecuted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaybeExecuted").field("last", &self.last).field("cause", &self.cause).finish_non_exhaustive()
    }
}

impl Error for MaybeExecuted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let copy = |status| Self { last: self.last, cause: self.cause.clone(), below: Facts::copy(status) };
        self.below.source(copy, |status| {
            status.unavailable(&format_args!("the request may have been executed: {}", self.last))
        })
    }
}

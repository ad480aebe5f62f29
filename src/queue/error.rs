use crate::error::BoxError;
use std::{
    error::Error,
    fmt,
    sync::{Arc, OnceLock},
};

/// A message cannot be made into a request, now or later: it is dead as `undecodable` at once.
///
/// A worker's service fails with it (anywhere in the error's chain) when a body is not what it should be; what
/// [`MakeRequest`](super::MakeRequest) fails with counts as it.
///
/// Its `source()` is an `Undecodable` too, so that it is also found in an error type that forwards to it
/// (`#[error(transparent)]`, anyhow); the cause is below that one.
pub struct Undecodable {
    cause: Arc<dyn Error + Send + Sync>,
    below: Below,
}

enum Below {
    /// Made when the chain is walked.
    Copy(OnceLock<Box<Undecodable>>),
    Cause,
}

impl Undecodable {
    /// Because of `source`.
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self { cause: Arc::from(source.into()), below: Below::Copy(OnceLock::new()) }
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.below {
            Below::Copy(_) => "the message cannot be decoded",
            Below::Cause => "no attempt can succeed",
        })
    }
}

impl fmt::Debug for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Undecodable").field("cause", &self.cause).finish_non_exhaustive()
    }
}

impl Error for Undecodable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.below {
            Below::Cause => Some(&*self.cause),
            Below::Copy(made) => {
                let copy = || Box::new(Self { cause: self.cause.clone(), below: Below::Cause });
                Some(&**made.get_or_init(copy))
            }
        }
    }
}

/// [`Deliver`](super::Deliver) did not send the request. It reads as the client's error, which it holds.
#[derive(Debug)]
pub(super) struct NeverSent {
    source: BoxError,
}

impl NeverSent {
    pub(super) const fn new(source: BoxError) -> Self {
        Self { source }
    }
}

impl fmt::Display for NeverSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for NeverSent {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

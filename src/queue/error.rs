use crate::error::BoxError;
use std::{error::Error, fmt};

/// A message cannot be made into a request, now or later: it is dead as `undecodable` at once.
///
/// A worker's service fails with it (anywhere in the error's chain) when a body is not what it should be; what
/// [`MakeRequest`](super::MakeRequest) fails with counts as it.
#[derive(Debug)]
pub struct Undecodable {
    source: BoxError,
}

impl Undecodable {
    /// Because of `source`.
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self { source: source.into() }
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message cannot be decoded")
    }
}

impl Error for Undecodable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
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

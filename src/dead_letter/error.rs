use super::Redriven;
use crate::error::BoxError;
use std::{error::Error, fmt};

/// A redrive ended early: because of its store ([`StoreError`](crate::error::StoreError) is the source), or of a rate that is
/// none ([`Invalid`](crate::setting::Invalid)). What was redriven by then stays so; the same redrive again does the rest.
#[derive(Debug)]
pub struct RedriveError {
    so_far: Redriven,
    source: BoxError,
}

impl RedriveError {
    pub(super) fn new(so_far: Redriven, source: impl Into<BoxError>) -> Self {
        Self { so_far, source: source.into() }
    }

    /// How far it came.
    pub const fn so_far(&self) -> Redriven {
        self.so_far
    }
}

impl fmt::Display for RedriveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the redrive ended after {} messages", self.so_far.redriven)
    }
}

impl Error for RedriveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

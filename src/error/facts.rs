//! An error that is found although a wrapper hides it.

use super::StatusSource;
use std::{error::Error, sync::OnceLock};

/// The place for a copy of an error below the error itself, made only when the chain is walked.
///
/// A wrapper that forwards `Display` and `source()` to the error that it holds (`#[error(transparent)]`, anyhow's box) takes that
/// error out of the chain and leaves what is below it: there the copy is found.
#[derive(Debug)]
pub(crate) struct Facts<E> {
    kind: Kind<E>,
}

#[derive(Debug)]
enum Kind<E> {
    /// Of the error that was made.
    Own(OnceLock<Box<E>>),
    /// Of the copy, which ends the chain but for a `tonic::Status`.
    Copy(StatusSource),
}

impl<E> Facts<E> {
    pub(crate) const fn new() -> Self {
        Self { kind: Kind::Own(OnceLock::new()) }
    }

    pub(crate) const fn copy(status: StatusSource) -> Self {
        Self { kind: Kind::Copy(status) }
    }

    /// Whether the error is the copy.
    pub(crate) const fn is_copy(&self) -> bool {
        matches!(self.kind, Kind::Copy(_))
    }
}

impl<E: Error + 'static> Facts<E> {
    /// What is below the error: its copy, or below that what `end` finds.
    pub(crate) fn source<'a>(
        &'a self,
        copy: impl FnOnce(StatusSource) -> E,
        end: impl FnOnce(&'a StatusSource) -> Option<&'a (dyn Error + 'static)>,
    ) -> Option<&'a (dyn Error + 'static)> {
        match &self.kind {
            Kind::Own(made) => Some(&**made.get_or_init(|| Box::new(copy(StatusSource::new())))),
            Kind::Copy(status) => end(status),
        }
    }
}

// A clone makes its own copy when it is asked for one.
impl<E> Clone for Facts<E> {
    fn clone(&self) -> Self {
        match &self.kind {
            Kind::Own(_) => Self::new(),
            Kind::Copy(status) => Self::copy(status.clone()),
        }
    }
}

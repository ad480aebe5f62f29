use super::BoxError;
use std::{error::Error, fmt, sync::Arc};

/// A store did not answer, or answered that it could not. Every store call of this crate is safe to repeat.
///
/// `Clone`, because one failed group commit is reported to every caller that shared it.
#[derive(Debug, Clone)]
pub struct StoreError {
    what: &'static str,
    source: Option<Arc<dyn Error + Send + Sync>>,
    kind: Kind,
}

/// The outcome of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It may have been done, or may be done later.
    Unknown,
    /// The store has something that cannot be read.
    Unreadable,
    /// It was not done, and will not be.
    Refused,
    /// As `Refused`, for want of room.
    Full,
}

impl StoreError {
    /// Creates an error of unknown outcome: the call may have been done, or may still be on its way. `what`: lower case, a few words.
    pub const fn new(what: &'static str) -> Self {
        Self { what, source: None, kind: Kind::Unknown }
    }

    /// Creates an error of a store that did answer, and has something that cannot be read: written by a newer version, sealed with
    /// another key, or damaged.
    pub const fn unreadable(what: &'static str) -> Self {
        Self { what, source: None, kind: Kind::Unreadable }
    }

    /// Creates an error of a call of which nothing was done, and of which nothing will be done later: the store refused it, or it
    /// was never sent. An idempotency layer then has no claim to give back.
    pub const fn refused(what: &'static str) -> Self {
        Self { what, source: None, kind: Kind::Refused }
    }

    /// Creates a [refusal](Self::refused) for want of room. An idempotency layer then sweeps and asks once more.
    pub const fn full(what: &'static str) -> Self {
        Self { what, source: None, kind: Kind::Full }
    }

    /// Creates an error of unknown outcome, as [`new`](Self::new) does, with the error of the store's client below it.
    pub fn with_source(what: &'static str, source: impl Into<BoxError>) -> Self {
        Self::new(what).caused_by(source)
    }

    /// Sets the error of the store's client as the `source()`.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Returns the same, of a call that may have been sent before with another outcome.
    #[cfg(all(feature = "redis", feature = "idempotency"))]
    pub(crate) fn of_unknown_outcome(self) -> Self {
        let kind = if self.is_refused() { Kind::Unknown } else { self.kind };
        Self { kind, ..self }
    }

    /// Returns the failure in a few words.
    pub const fn what(&self) -> &'static str {
        self.what
    }

    /// Returns whether the store has something that cannot be read: see [`unreadable`](Self::unreadable).
    pub const fn is_unreadable(&self) -> bool {
        matches!(self.kind, Kind::Unreadable)
    }

    /// Returns whether nothing of the call was done, or will be: see [`refused`](Self::refused) and [`full`](Self::full).
    pub const fn is_refused(&self) -> bool {
        matches!(self.kind, Kind::Refused | Kind::Full)
    }

    /// Returns whether the store has no room: see [`full`](Self::full).
    pub const fn is_full(&self) -> bool {
        matches!(self.kind, Kind::Full)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

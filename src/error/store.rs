use super::BoxError;
use std::{error::Error, fmt, sync::Arc};

/// A store did not answer, or answered that it could not. Every store call of this crate is safe to repeat.
///
/// `Clone`, because one failed group commit is told to every caller that shared it.
#[derive(Debug, Clone)]
pub struct StoreError {
    what: &'static str,
    source: Option<Arc<dyn Error + Send + Sync>>,
    unreadable: bool,
}

impl StoreError {
    /// `what`: lower case, a few words.
    pub const fn new(what: &'static str) -> Self {
        Self { what, source: None, unreadable: false }
    }

    /// It did answer, and what it has there cannot be read: written by a newer version, sealed with another key, or damaged.
    pub const fn unreadable(what: &'static str) -> Self {
        Self { what, source: None, unreadable: true }
    }

    /// The same, with the error of the store's client below it.
    pub fn with_source(what: &'static str, source: impl Into<BoxError>) -> Self {
        Self { what, source: Some(Arc::from(source.into())), unreadable: false }
    }

    /// What failed, in a few words.
    pub const fn what(&self) -> &'static str {
        self.what
    }

    /// Whether something is there that cannot be read: see [`unreadable`](Self::unreadable).
    pub const fn is_unreadable(&self) -> bool {
        self.unreadable
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

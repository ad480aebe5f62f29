use crate::classify::Origin;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    num::NonZeroU64,
};

/// The origin that a call was sent to, where the client may follow a redirect to another one. It is kept as a hash: the request is
/// gone when the response comes.
#[derive(Clone, Copy)]
pub(super) struct Asked(Option<NonZeroU64>);

impl Asked {
    #[inline]
    pub(super) fn new(origin: Option<Origin<'_>>) -> Self {
        Self(origin.and_then(|origin| hash(&origin)))
    }

    /// Whether the response is that of another origin.
    #[inline]
    pub(super) fn is_not(self, answered_by: Option<Origin<'_>>) -> bool {
        answered_by.is_some_and(|origin| self.0.is_some() && hash(&origin) != self.0)
    }
}

fn hash(origin: &Origin<'_>) -> Option<NonZeroU64> {
    let mut hasher = DefaultHasher::new();
    origin.hash(&mut hasher);
    NonZeroU64::new(hasher.finish())
}

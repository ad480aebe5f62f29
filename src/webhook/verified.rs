use crate::dedupe::DedupeKeys;
use std::time::Duration;

/// In the extensions of a request that was verified: by what, and what is known of the delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    scheme: &'static str,
    secret: usize,
    delivery: Option<String>,
    dedupe: DedupeKeys,
}

impl Verified {
    /// `scheme`: its name; `secret`: which of the scheme's secrets matched, 0 for the first.
    pub fn new(scheme: &'static str, secret: usize) -> Self {
        Self { scheme, secret, delivery: None, dedupe: DedupeKeys::default() }
    }

    /// The sender's name for the delivery, the same when it is repeated.
    #[must_use]
    pub fn with_delivery(mut self, id: impl Into<String>) -> Self {
        self.delivery = Some(id.into());
        self
    }

    /// Adds a dedupe key of the delivery. May be called several times. The layer puts the source before each key.
    #[must_use]
    pub fn with_dedupe(mut self, key: impl Into<String>) -> Self {
        self.dedupe = self.dedupe.and(key);
        self
    }

    /// Adds a dedupe key that is known for `window` and not for as long as the queue knows keys.
    #[must_use]
    pub fn with_dedupe_for(mut self, key: impl Into<String>, window: Duration) -> Self {
        self.dedupe = self.dedupe.and_for(key, window);
        self
    }

    /// Puts a source before each key, so that the keys of different sources differ.
    pub(super) fn in_sources(mut self, sources: &[Box<str>]) -> Self {
        let keys = std::mem::take(&mut self.dedupe);
        for source in sources {
            for (key, window) in keys.iter() {
                let key = format!("{source}/{key}");
                self = match window {
                    Some(window) => self.with_dedupe_for(key, window),
                    None => self.with_dedupe(key),
                };
            }
        }
        self
    }

    /// The name of the scheme.
    pub const fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Which of the scheme's secrets matched, 0 for the first: whether an old one is still in use.
    pub const fn secret(&self) -> usize {
        self.secret
    }

    /// The sender's name for the delivery, if it gave one. Not every scheme signs it.
    pub fn delivery(&self) -> Option<&str> {
        self.delivery.as_deref()
    }

    /// Returns the dedupe keys of the delivery. They are in the extensions on their own as well.
    pub const fn dedupe(&self) -> &DedupeKeys {
        &self.dedupe
    }
}

use crate::dedupe::DedupeKeys;

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

    /// A key under which the delivery is known again; may be called several times.
    #[must_use]
    pub fn with_dedupe(mut self, key: impl Into<String>) -> Self {
        self.dedupe = self.dedupe.and(key);
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

    /// The keys under which the delivery is known again; they lie in the extensions on their own as well.
    pub const fn dedupe(&self) -> &DedupeKeys {
        &self.dedupe
    }
}

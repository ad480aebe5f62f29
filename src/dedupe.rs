//! What tells that a delivery is the same one again: found by whoever verified it, used by whoever stores it.

/// In a request's extensions: the keys under which a delivery is known. A queue's `accept()` takes a delivery for a duplicate
/// when it knows any of them.
///
/// ```
/// use steadfast::dedupe::DedupeKeys;
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(DedupeKeys::new("delivery-1").and("sha256:9f86d081"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DedupeKeys(Vec<String>);

impl DedupeKeys {
    /// Known by this key.
    pub fn new(key: impl Into<String>) -> Self {
        Self(vec![key.into()])
    }

    /// And by this one.
    #[must_use]
    pub fn and(mut self, key: impl Into<String>) -> Self {
        self.0.push(key.into());
        self
    }

    /// All of them.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// All of them.
    pub fn into_vec(self) -> Vec<String> {
        self.0
    }
}

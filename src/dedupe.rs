//! The keys by which a repeated delivery is recognised: found by the layer that verifies it, used by the queue that stores it.

use std::time::Duration;

/// In a request's extensions: the keys of a delivery. A queue's `accept()` takes a delivery for a duplicate when it knows any of
/// them.
///
/// ```
/// use std::time::Duration;
/// use steadfast::dedupe::DedupeKeys;
///
/// let keys = DedupeKeys::new("delivery-1").and_for("sha256:9f86d081", Duration::from_secs(300));
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(keys);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DedupeKeys {
    keys: Vec<String>,
    /// By the place of the key. Shorter than `keys` if the last of them have no window of their own.
    windows: Vec<Option<Duration>>,
}

impl DedupeKeys {
    /// Creates a list of one key.
    pub fn new(key: impl Into<String>) -> Self {
        Self { keys: vec![key.into()], windows: Vec::new() }
    }

    /// Adds a key.
    #[must_use]
    pub fn and(mut self, key: impl Into<String>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// Adds a key with a window of its own, instead of the queue's.
    #[must_use]
    pub fn and_for(mut self, key: impl Into<String>, window: Duration) -> Self {
        self.windows.resize(self.keys.len(), None);
        self.keys.push(key.into());
        self.windows.push(Some(window));
        self
    }

    /// Adds all keys of another list, with their windows.
    #[must_use]
    pub fn and_all(self, other: Self) -> Self {
        let windows = other.windows.into_iter().chain(std::iter::repeat(None));
        other.keys.into_iter().zip(windows).fold(self, |all, (key, window)| match window {
            Some(window) => all.and_for(key, window),
            None => all.and(key),
        })
    }

    /// Returns the keys, in the order in which they were added.
    pub fn as_slice(&self) -> &[String] {
        &self.keys
    }

    /// Returns the keys without their windows.
    pub fn into_vec(self) -> Vec<String> {
        self.keys
    }

    /// Returns each key, and its window if it has one of its own.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<Duration>)> {
        let windows = self.windows.iter().copied().chain(std::iter::repeat(None));
        self.keys.iter().map(String::as_str).zip(windows)
    }
}

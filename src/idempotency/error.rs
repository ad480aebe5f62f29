use std::{error::Error, fmt};

/// A field value, or a string, that is no [`IdempotencyKey`](super::IdempotencyKey).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedKey {
    why: &'static str,
}

impl MalformedKey {
    pub(super) const fn new(why: &'static str) -> Self {
        Self { why }
    }

    /// What is wrong with it, in a few words; never the key itself.
    pub const fn why(&self) -> &'static str {
        self.why
    }
}

impl fmt::Display for MalformedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed idempotency key: {}", self.why)
    }
}

impl Error for MalformedKey {}

/// The claim of a key was lost while its answer streamed: another caller owns it, and this answer is not the one.
///
/// Found in the error of a response body that was broken off for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimLost;

impl fmt::Display for ClaimLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the claim was lost while the answer streamed: another attempt owns the key")
    }
}

impl Error for ClaimLost {}

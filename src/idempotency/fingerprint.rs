use bytes::Bytes;
use http::{header, request::Parts};
use sha2::{Digest, Sha256};
use std::{
    fmt,
    hash::{Hash, Hasher},
};

/// Which request a key was first used for: a hash of method, original path and query, content type and body, with the
/// version of the rule that made it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// The rule; [`Fingerprint::VERSION`] is the newest.
    pub version: u8,
    /// SHA-256 by that rule.
    pub hash: [u8; 32],
}

/// Scope and key, hashed: SHA-256 over both, each with its length before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StoreKey(pub [u8; 32]);

impl Fingerprint {
    /// The rule by which new fingerprints are made.
    pub const VERSION: u8 = 1;

    /// Of a request whose path and query, as the client sent them, are `target`.
    pub fn of(parts: &Parts, target: &str, body: &Bytes) -> Self {
        let content_type = parts.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |v| v.as_bytes());
        let hash = hash([parts.method.as_str().as_bytes(), target.as_bytes(), content_type, body]);
        Self { version: Self::VERSION, hash }
    }

    /// Whether both can be of one request. Two made by different rules cannot be compared and count as equal: while a new rule
    /// is rolled out, the key alone decides, and no caller is told that it sent something else.
    pub fn matches(&self, other: &Self) -> bool {
        self.version != other.version || self.hash == other.hash
    }
}

impl StoreKey {
    /// `scope`: who is calling, in any bytes.
    pub fn new(scope: &[u8], key: &str) -> Self {
        Self(hash([scope, key.as_bytes()]))
    }
}

/// SHA-256 over all parts, each with its length before it: no two lists of parts are one to it.
pub(super) fn hash<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        let part = part.as_ref();
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint(v{}, ***)", self.version)
    }
}

impl Hash for StoreKey {
    /// By eight of its bytes, which are as random as all of it. Whoever chooses the keys finds two with the same eight after
    /// some 2^32 tries; the order within a map is its hasher's secret all the same.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut last = [0; 8];
        last.copy_from_slice(&self.0[24..]);
        state.write_u64(u64::from_ne_bytes(last));
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(***)")
    }
}

use crate::queue::NewMessage;
use sha2::{Digest, Sha256};
use std::{borrow::Cow, collections::HashSet};

/// A key that is no longer stands as it is.
const WHOLE: usize = 255;
/// Of a longer one so much, so that those that begin alike lie together in the index; then the SHA-256 of all. That makes 256
/// bytes, which no key has that stands as it is.
const START: usize = 224;

/// A dedupe key as it stands in its column: any bytes, and short enough for an index.
pub(super) type Key<'a> = Cow<'a, [u8]>;

fn key(key: &str) -> Key<'_> {
    let key = key.as_bytes();
    if key.len() <= WHOLE {
        return Cow::Borrowed(key);
    }
    let mut short = key[..START].to_vec();
    short.extend_from_slice(&Sha256::digest(key));
    Cow::Owned(short)
}

/// The keys of a message, none twice.
pub(super) fn keys(message: &NewMessage) -> Vec<Key<'_>> {
    let mut seen = HashSet::new();
    message.dedupe().iter().map(|text| key(text)).filter(|key| seen.insert(key.clone())).collect()
}

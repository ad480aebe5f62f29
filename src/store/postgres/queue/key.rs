use crate::queue::NewMessage;
use sha2::{Digest, Sha256};
use std::{borrow::Cow, collections::HashSet, time::Duration};

/// A key that is no longer stands as it is.
const WHOLE: usize = 255;
/// Of a longer one so much, so that those that begin alike lie together in the index; then the SHA-256 of all. That makes 256
/// bytes, which no key has that stands as it is.
const START: usize = 224;

/// A dedupe key as it stands in its column: any bytes, and short enough for an index.
pub(super) type Key<'a> = Cow<'a, [u8]>;

fn key(key: Cow<'_, str>) -> Key<'_> {
    if key.len() > WHOLE {
        let key = key.as_bytes();
        let mut short = key[..START].to_vec();
        short.extend_from_slice(&Sha256::digest(key));
        return Cow::Owned(short);
    }
    match key {
        Cow::Borrowed(key) => Cow::Borrowed(key.as_bytes()),
        Cow::Owned(key) => Cow::Owned(key.into_bytes()),
    }
}

/// The keys of a message with their windows, none twice.
pub(super) fn keys(message: &NewMessage) -> Vec<(Key<'_>, Duration)> {
    let mut seen = HashSet::new();
    let keys = message.dedupe_keys().map(|(text, window)| (key(text), window));
    keys.filter(|(key, _)| seen.insert(key.clone())).collect()
}

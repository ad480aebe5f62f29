//! Copies of what messages hold. A body that was received is mostly a slice of a connection's read buffer: 400 bytes of it keep
//! 8 KiB or more alive, for as long as the message is stored. A slice may also have an owner, whose drop is foreign code: it runs
//! before the lock is taken, and its panic loses no message.

use crate::{panic::unharmed, queue::NewMessage};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use std::mem;

/// Puts bodies and header values into buffers of their own. Messages beside each other that share a body share the copy.
pub(super) fn own(batch: &mut [NewMessage]) {
    let mut original = Bytes::new();
    for i in 0..batch.len() {
        let body = mem::take(&mut batch[i].body);
        let is_shared = i > 0 && (body.as_ptr(), body.len()) == (original.as_ptr(), original.len());
        batch[i].body = if is_shared { batch[i - 1].body.clone() } else { Bytes::copy_from_slice(&body) };
        own_values(&mut batch[i].headers);
        let before = mem::replace(&mut original, body);
        unharmed(|| drop(before));
    }
    unharmed(|| drop(original));
}

/// One buffer for all values of a message.
fn own_values(headers: &mut HeaderMap) {
    let mut values = BytesMut::with_capacity(headers.values().map(HeaderValue::len).sum());
    headers.values().for_each(|value| values.extend_from_slice(value.as_bytes()));
    let mut values = values.freeze();
    for value in headers.values_mut() {
        let copy = values.split_to(value.len());
        // a value that `from_maybe_shared_unchecked` let through stays as it is
        if let Ok(mut copy) = HeaderValue::from_maybe_shared(copy) {
            copy.set_sensitive(value.is_sensitive());
            let original = mem::replace(value, copy);
            unharmed(|| drop(original));
        }
    }
}

//! Header maps as bytes, for stores: a count, then each name and value with its length, all big-endian.
#![allow(dead_code, reason = "which stores there are depends on the features")]

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

/// `None` is another thing than an empty map.
pub(crate) fn put_headers(to: &mut BytesMut, headers: Option<&HeaderMap>) {
    let Some(headers) = headers else { return to.put_u32(u32::MAX) };
    to.put_u32(length(headers.len()));
    for (name, value) in headers {
        put(to, name.as_str().as_bytes());
        put(to, value.as_bytes());
    }
}

/// `None`: it cannot be read.
#[expect(clippy::option_option, reason = "unreadable, absent and present are three things")]
pub(crate) fn get_headers(from: &mut Bytes) -> Option<Option<HeaderMap>> {
    let n = from.try_get_u32().ok()?;
    if n == u32::MAX {
        return Some(None);
    }
    let mut headers = HeaderMap::new();
    for _ in 0..n {
        let name = HeaderName::from_bytes(&get(from)?).ok()?;
        let value = HeaderValue::from_maybe_shared(get(from)?).ok()?;
        headers.try_append(name, value).ok()?;
    }
    Some(Some(headers))
}

fn put(to: &mut BytesMut, part: &[u8]) {
    to.put_u32(length(part.len()));
    to.put_slice(part);
}

fn get(from: &mut Bytes) -> Option<Bytes> {
    let n = usize::try_from(from.try_get_u32().ok()?).ok()?;
    (from.len() >= n).then(|| from.split_to(n))
}

/// No header map that was received is that large: hyper and http bound both.
fn length(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX - 1)
}

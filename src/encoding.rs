//! Header maps as bytes, for stores: a count, then each name and value with its length, all big-endian. The highest bit of a
//! value's length says that the value is sensitive: not for logs, nor for the tables of HPACK.
#![allow(dead_code, reason = "which stores there are depends on the features")]

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

const SENSITIVE: u32 = 1 << 31;

/// `None` is another thing than an empty map.
pub(crate) fn put_headers(to: &mut BytesMut, headers: Option<&HeaderMap>) {
    let Some(headers) = headers else { return to.put_u32(u32::MAX) };
    to.put_u32(length(headers.len()));
    for (name, value) in headers {
        put(to, name.as_str().as_bytes(), 0);
        put(to, value.as_bytes(), if value.is_sensitive() { SENSITIVE } else { 0 });
    }
}

/// How many bytes [`put_headers`] makes.
pub(crate) fn headers_len(headers: Option<&HeaderMap>) -> usize {
    4 + headers.into_iter().flatten().map(|(name, value)| 8 + name.as_str().len() + value.len()).sum::<usize>()
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
        let name = HeaderName::from_bytes(&get(from)?.0).ok()?;
        let (value, flag) = get(from)?;
        let mut value = HeaderValue::from_maybe_shared(value).ok()?;
        value.set_sensitive(flag == SENSITIVE);
        headers.try_append(name, value).ok()?;
    }
    Some(Some(headers))
}

fn put(to: &mut BytesMut, part: &[u8], flag: u32) {
    to.put_u32(length(part.len()) | flag);
    to.put_slice(part);
}

fn get(from: &mut Bytes) -> Option<(Bytes, u32)> {
    let said = from.try_get_u32().ok()?;
    let n = usize::try_from(said & !SENSITIVE).ok()?;
    (from.len() >= n).then(|| (from.split_to(n), said & SENSITIVE))
}

/// No header map that was received is that large: hyper and http bound both.
fn length(n: usize) -> u32 {
    u32::try_from(n).map_or(SENSITIVE - 1, |n| n.min(SENSITIVE - 1))
}

#[cfg(test)]
mod tests;

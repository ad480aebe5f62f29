use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body;
use http_body_util::BodyExt;
use std::{fmt, pin::pin};

/// A whole body.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// All data frames, in order.
    pub data: Bytes,
    /// The trailers, if it had any.
    pub trailers: Option<HeaderMap>,
}

// The content may be secret: lengths only.
impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collected")
            .field("bytes", &self.data.len())
            .field("trailers", &self.trailers.is_some())
            .finish()
    }
}

/// Why a body was not read.
#[derive(Debug)]
#[non_exhaustive]
pub enum Unread<E> {
    /// It is longer than the limit.
    TooLarge,
    /// It broke off.
    Broken(E),
}

/// Reads a body of at most `limit` bytes.
///
/// Of a longer one nothing is kept, but up to three limits more are read off, so that an HTTP/1 connection stays usable
/// after the 413 that follows; a body that says it is longer than that is not read at all.
///
/// # Errors
/// [`Unread::TooLarge`], or the body's own error.
pub async fn read<B: Body>(body: B, limit: usize) -> Result<Collected, Unread<B::Error>> {
    let drained = limit.saturating_mul(4);
    let mut body = pin!(body);
    let hint = body.size_hint();
    if hint.lower() > drained as u64 {
        return Err(Unread::TooLarge);
    }
    // the first frame of most bodies is the whole of it: it is then given on without a copy
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let (mut seen, mut trailers) = (0_usize, None);
    while let Some(frame) = body.frame().await {
        match frame.map_err(Unread::Broken)?.into_data() {
            Ok(mut data) => {
                let len = data.remaining();
                seen = seen.saturating_add(len);
                if seen > drained {
                    return Err(Unread::TooLarge);
                }
                if seen > limit {
                    (first, rest) = (Bytes::new(), BytesMut::new());
                } else if seen == len {
                    first = data.copy_to_bytes(len);
                } else {
                    if rest.is_empty() {
                        let expected = usize::try_from(hint.lower()).unwrap_or(0).clamp(seen, limit);
                        rest.reserve(expected);
                        rest.put(std::mem::take(&mut first));
                    }
                    rest.put(data);
                }
            }
            Err(frame) => trailers = frame.into_trailers().ok().or(trailers),
        }
    }
    if seen > limit {
        return Err(Unread::TooLarge);
    }
    let data = if rest.is_empty() { first } else { rest.freeze() };
    Ok(Collected { data, trailers })
}

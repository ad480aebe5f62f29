use super::{Failure, ReadTimeouts, timer::ReadTimer};
use crate::error::{as_error, find};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, SizeHint};
use http_body_util::LengthLimitError;
use std::{
    fmt,
    future::poll_fn,
    mem,
    pin::pin,
    task::{Poll, ready},
};

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
    /// It is longer than the limit, or than the limit of a layer further out (`LengthLimitError` of `http-body-util` in the
    /// chain of its error, as the bodies of tower-http's `RequestBodyLimitLayer` have it).
    TooLarge,
    /// It failed with an error of its own.
    Broken(E),
    /// It exceeded one of the [`ReadTimeouts`].
    TooSlow,
}

/// Reads a body of at most `limit` bytes, under the default [`ReadTimeouts`]; see [`read_within`].
///
/// # Errors
/// As for [`read_within`].
pub async fn read<B>(body: B, limit: usize) -> Result<Collected, Unread<B::Error>>
where
    B: Body,
    B::Error: 'static,
{
    read_within(body, limit, ReadTimeouts::default()).await
}

/// Reads a body of at most `limit` bytes, within a time.
///
/// Of a longer body nothing is kept, but up to three limits more are read off, within the same time, so that an HTTP/1
/// connection stays usable after the 413 that follows; a body that says it is longer than that is not read at all. A body that
/// is there at once needs no timer; for any other a tokio runtime with time enabled is needed.
///
/// # Errors
/// [`Unread::TooLarge`], [`Unread::TooSlow`], or the body's own error.
pub async fn read_within<B>(body: B, limit: usize, timeouts: ReadTimeouts) -> Result<Collected, Unread<B::Error>>
where
    B: Body,
    B::Error: 'static,
{
    read_off(body, limit, timeouts).await.map_err(|failure| failure.why)
}

/// [`read_within`], for layers that respond to the failure: the body's own error, whose type a response has no use for, is dropped.
#[allow(dead_code, reason = "not every feature has a layer that reads requests")]
pub(crate) async fn read_request<B>(body: B, limit: usize, timeouts: ReadTimeouts) -> Result<Collected, Failure>
where
    B: Body,
    B::Error: 'static,
{
    read_off(body, limit, timeouts).await.map_err(Failure::without_error)
}

async fn read_off<B>(body: B, limit: usize, timeouts: ReadTimeouts) -> Result<Collected, Failure<B::Error>>
where
    B: Body,
    B::Error: 'static,
{
    let most = limit.saturating_mul(4);
    let mut body = pin!(body);
    let hint = body.size_hint();
    if hint.lower() > most as u64 {
        return Err(Failure::with_rest(Unread::TooLarge));
    }
    let mut timer = pin!(ReadTimer::new(timeouts));
    let mut kept = Kept::default();
    let mut trailers = None;
    let mut without_data = 0_u32;
    loop {
        let seen = kept.seen;
        let mut has_elapsed = false;
        let frame = poll_fn(|cx| {
            if let Poll::Ready(frame) = body.as_mut().poll_frame(cx) {
                return Poll::Ready(Some(frame));
            }
            ready!(timer.as_mut().poll_elapsed(seen as u64, cx));
            if mem::replace(&mut has_elapsed, true) {
                return Poll::Ready(None);
            }
            // after a pause of the process the data may be there, and the task that reads the connection had no turn yet
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        let frame = match frame.await {
            Some(Some(Ok(frame))) => frame,
            Some(Some(Err(error))) if is_length_limit(&error) => return Err(Failure::with_rest(Unread::TooLarge)),
            // the rest may still come where the body of a layer further out failed, as one that decodes
            Some(Some(Err(error))) => return Err(Failure::with_rest(Unread::Broken(error))),
            Some(None) => break,
            // for certain it is too large already
            None if kept.seen > limit => return Err(Failure::with_rest(Unread::TooLarge)),
            None => return Err(Failure::with_rest(Unread::TooSlow)),
        };
        match frame.into_data() {
            Ok(data) => kept.push(data, limit, &hint),
            Err(frame) => trailers = frame.into_trailers().ok().or(trailers),
        }
        if kept.seen > most {
            return Err(Failure::with_rest(Unread::TooLarge));
        }
        without_data = if kept.seen == seen { without_data + 1 } else { 0 };
        if without_data > WITHOUT_DATA && timer.as_mut().is_over(seen as u64).await {
            return Err(Failure::with_rest(Unread::TooSlow));
        }
    }
    if kept.seen > limit {
        return Err(Failure::without_rest(Unread::TooLarge));
    }
    Ok(Collected { data: kept.into_bytes(), trailers })
}

/// After so many frames in a row without data the time is looked at, although the body never waits. A body ends with one of them
/// often.
const WITHOUT_DATA: u32 = 16;

/// Whether a layer further out has a limit that the body exceeds.
fn is_length_limit<E: 'static>(error: &E) -> bool {
    as_error(error).is_some_and(|error| find::<LengthLimitError>(error).is_some())
}

/// What was read so far.
#[derive(Default)]
struct Kept {
    seen: usize,
    // the first frame of most bodies is the whole of it: it is then given on without a copy
    first: Bytes,
    rest: BytesMut,
}

impl Kept {
    fn push(&mut self, mut data: impl Buf, limit: usize, hint: &SizeHint) {
        let len = data.remaining();
        self.seen = self.seen.saturating_add(len);
        if self.seen > limit {
            (self.first, self.rest) = (Bytes::new(), BytesMut::new());
        } else if self.seen == len {
            self.first = data.copy_to_bytes(len);
        } else {
            if self.rest.is_empty() {
                let expected = usize::try_from(hint.lower()).unwrap_or(0).clamp(self.seen, limit);
                self.rest.reserve(expected);
                self.rest.put(mem::take(&mut self.first));
            }
            self.rest.put(data);
        }
    }

    fn into_bytes(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}

//! The request body of every generated call: in memory, or streamed in chunks.

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use steadfast::{
    body::{FromReplay, ReplayBody, ReplayError},
    error::BoxError,
};
use tokio::time::{Sleep, sleep};

/// A request body. `Default` is empty, as `FollowRedirect` needs it.
#[derive(Default)]
pub(crate) struct Payload(Kind);

enum Kind {
    Whole(Option<Bytes>),
    Stream(Stream),
    Again(Box<ReplayBody<Payload>>),
}

struct Stream {
    chunks: Vec<Bytes>,
    gap: Duration,
    wait: Option<Pin<Box<Sleep>>>,
}

impl Default for Kind {
    fn default() -> Self {
        Self::Whole(None)
    }
}

impl Payload {
    /// A body that is in memory and that layers clone.
    pub(crate) fn whole(text: &str) -> Self {
        Self(Kind::Whole((!text.is_empty()).then(|| Bytes::copy_from_slice(text.as_bytes()))))
    }

    /// A body of `pieces` chunks with `gap` before each of them, which layers have to keep in order to send it again.
    pub(crate) fn stream(text: &str, pieces: usize, gap: Duration) -> Self {
        let size = text.len().div_ceil(pieces.max(1)).max(1);
        let mut chunks: Vec<Bytes> = text.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
        chunks.reverse();
        Self(Kind::Stream(Stream { chunks, gap, wait: None }))
    }
}

/// Only a body that is in memory can be cloned; the plan of a run sees to it that no other one is.
impl Clone for Payload {
    fn clone(&self) -> Self {
        match &self.0 {
            Kind::Whole(data) => Self(Kind::Whole(data.clone())),
            Kind::Stream(_) | Kind::Again(_) => panic!("a streamed body was cloned"),
        }
    }
}

impl FromReplay for Payload {
    fn from_replay(body: ReplayBody<Self>) -> Self {
        Self(Kind::Again(Box::new(body)))
    }

    fn from_whole(data: Bytes, _: Option<HeaderMap>) -> Self {
        Self(Kind::Whole((!data.is_empty()).then_some(data)))
    }

    fn try_clone(&self) -> Option<Self> {
        matches!(self.0, Kind::Whole(_)).then(|| self.clone())
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Whole(data) => Poll::Ready(data.take().map(|data| Ok(Frame::data(data)))),
            Kind::Stream(stream) => {
                if stream.chunks.is_empty() {
                    return Poll::Ready(None);
                }
                let gap = stream.gap;
                ready!(stream.wait.get_or_insert_with(|| Box::pin(sleep(gap))).as_mut().poll(cx));
                stream.wait = None;
                Poll::Ready(stream.chunks.pop().map(|data| Ok(Frame::data(data))))
            }
            Kind::Again(body) => Pin::new(&mut **body).poll_frame(cx).map_err(ReplayError::into_box),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(data) => data.is_none(),
            Kind::Stream(stream) => stream.chunks.is_empty(),
            Kind::Again(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(data) => SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64)),
            Kind::Stream(stream) => SizeHint::with_exact(stream.chunks.iter().map(|chunk| chunk.len() as u64).sum()),
            Kind::Again(body) => body.size_hint(),
        }
    }
}

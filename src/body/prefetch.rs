use super::{grpc_web::GrpcWeb, replay::add};
use crate::classify::Verdict;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::{
    collections::VecDeque,
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// A body of which some frames were read ahead; it gives those first, in order, and then goes on.
///
/// Small frames that are read ahead are joined and empty ones left out, so that a body in many frames takes no more memory
/// than its bytes. A body that failed while it was read ahead never looks complete: it keeps its size hint, and is not at its
/// end before it gave its error.
pub struct Prefetch<B: Body> {
    read: VecDeque<Result<Frame<B::Data>, B::Error>>,
    /// Small frames, which come after those in `read`.
    joined: BytesMut,
    ahead: usize,
    ended: bool,
    /// The size hint before the poll that failed.
    failed: Option<SizeHint>,
    inner: B,
}

/// Frames of fewer bytes are joined: the place of a frame in the queue takes nearly as much.
const SMALL: usize = 1024;

/// The result of reading one frame ahead.
#[derive(Debug)]
pub(crate) enum Seen<'a> {
    /// `ahead`: all bytes that were read ahead until now.
    Data {
        ahead: usize,
    },
    Trailers(&'a HeaderMap),
    Failed,
    End,
}

impl<B: Body<Data = Bytes>> Prefetch<B> {
    /// Creates a body of which nothing is read yet.
    pub fn new(inner: B) -> Self {
        let ended = inner.is_end_stream();
        Self { read: VecDeque::new(), joined: BytesMut::new(), ahead: 0, ended, failed: None, inner }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Prefetch<B> {
    /// Returns the status of a gRPC-Web response, if it is in what was read.
    pub(crate) fn grpc_web_status(&self, base64: bool) -> Option<Verdict> {
        let mut web = GrpcWeb::new(base64);
        self.read.iter().flatten().filter_map(Frame::data_ref).for_each(|data| web.read(data));
        web.read(&self.joined);
        web.status()
    }

    /// Reads one more frame and keeps it.
    pub(crate) fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<Seen<'_>> {
        if self.ended {
            return Poll::Ready(Seen::End);
        }
        let hint = self.inner.size_hint();
        let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(cx)) else {
            self.ended = true;
            return Poll::Ready(Seen::End);
        };
        if frame.is_err() {
            (self.ended, self.failed) = (true, Some(hint));
        } else {
            self.ended = self.inner.is_end_stream();
        }
        if let Some(data) = frame.as_ref().ok().and_then(Frame::data_ref) {
            self.ahead = self.ahead.saturating_add(data.len());
            // the first one mostly is all there is: it is not copied
            if data.is_empty() || (data.len() < SMALL && !self.read.is_empty()) {
                self.joined.extend_from_slice(data);
                return Poll::Ready(Seen::Data { ahead: self.ahead });
            }
        }
        let joined = self.take_joined();
        self.read.extend(joined.map(Ok));
        self.read.push_back(frame);
        Poll::Ready(match self.read.back() {
            Some(Ok(frame)) => frame.trailers_ref().map_or(Seen::Data { ahead: self.ahead }, Seen::Trailers),
            _ => Seen::Failed,
        })
    }

    fn take_joined(&mut self) -> Option<Frame<Bytes>> {
        (!self.joined.is_empty()).then(|| Frame::data(mem::take(&mut self.joined).freeze()))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Prefetch<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(frame) = self.read.pop_front() {
            return Poll::Ready(Some(frame));
        }
        if let Some(frame) = self.take_joined() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.joined.is_empty() && (self.ended || self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let data = |frame: &Result<Frame<Bytes>, _>| frame.as_ref().ok()?.data_ref().map(|data| data.len() as u64);
        let rest = match &self.failed {
            Some(hint) => *hint,
            None if self.ended => SizeHint::with_exact(0),
            None => self.inner.size_hint(),
        };
        add(self.read.iter().filter_map(data).sum::<u64>() + self.joined.len() as u64, &rest)
    }
}

// what was read ahead is never pinned
impl<B: Body + Unpin> Unpin for Prefetch<B> {}

// Without the inner body's own, which may print its content.
impl<B: Body> fmt::Debug for Prefetch<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefetch")
            .field("ahead", &self.ahead)
            .field("ended", &self.ended)
            .field("failed", &self.failed.is_some())
            .finish_non_exhaustive()
    }
}

use super::{grpc_web::GrpcWeb, replay::add};
use crate::classify::Verdict;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// A body of which some frames were read ahead; it gives those first, in order, and then goes on.
pub struct Prefetch<B: Body> {
    read: VecDeque<Result<Frame<B::Data>, B::Error>>,
    ahead: usize,
    ended: bool,
    inner: B,
}

/// What reading ahead found.
#[derive(Debug)]
pub(crate) enum Seen<'a> {
    /// Bytes that are here by now.
    Data {
        ahead: usize,
    },
    Trailers(&'a HeaderMap),
    Failed,
    End,
}

impl<B: Body<Data = Bytes>> Prefetch<B> {
    /// Nothing is read yet.
    pub fn new(inner: B) -> Self {
        Self { read: VecDeque::new(), ahead: 0, ended: inner.is_end_stream(), inner }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Prefetch<B> {
    /// Returns the status of a gRPC-Web response, if its frame was read.
    pub(crate) fn grpc_web_status(&self, base64: bool) -> Option<Verdict> {
        let mut web = GrpcWeb::new(base64);
        self.read.iter().flatten().filter_map(Frame::data_ref).for_each(|data| web.read(data));
        web.status()
    }

    /// Reads one more frame and keeps it.
    pub(crate) fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<Seen<'_>> {
        if self.ended {
            return Poll::Ready(Seen::End);
        }
        let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(cx)) else {
            self.ended = true;
            return Poll::Ready(Seen::End);
        };
        self.ended = frame.is_err() || self.inner.is_end_stream();
        if let Ok(data) = frame.as_ref().map(|frame| frame.data_ref().map_or(0, Bytes::len)) {
            self.ahead = self.ahead.saturating_add(data);
        }
        self.read.push_back(frame);
        Poll::Ready(match self.read.back() {
            Some(Ok(frame)) => frame.trailers_ref().map_or(Seen::Data { ahead: self.ahead }, Seen::Trailers),
            _ => Seen::Failed,
        })
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Prefetch<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(frame) = self.read.pop_front() {
            return Poll::Ready(Some(frame));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && (self.ended || self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let data = |frame: &Result<Frame<Bytes>, _>| frame.as_ref().ok()?.data_ref().map(|data| data.len() as u64);
        let rest = if self.ended { SizeHint::with_exact(0) } else { self.inner.size_hint() };
        add(self.read.iter().filter_map(data).sum(), &rest)
    }
}

// what was read ahead is never pinned
impl<B: Body + Unpin> Unpin for Prefetch<B> {}

impl<B: Body + fmt::Debug> fmt::Debug for Prefetch<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefetch")
            .field("ahead", &self.ahead)
            .field("ended", &self.ended)
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

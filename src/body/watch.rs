use crate::classify::{Failure, Outcome, Recorder, Verdict, grpc_status};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    task::{Context, Poll},
};

pin_project! {
    /// A response body that tells once what the whole response came to: at its end, its trailers, its error, or
    /// ([`Outcome::Ignored`]) when it is dropped before.
    #[derive(Debug)]
    pub struct Watch<B> {
        #[pin]
        inner: B,
        end: Verdict,
        recorder: Option<Recorder>,
    }
}

impl<B: Body> Watch<B> {
    /// `status_in_trailers`: a gRPC stream, which broke off if it ends without a status.
    pub(crate) fn new(inner: B, head: Verdict, status_in_trailers: bool, recorder: Recorder) -> Self {
        let succeeded = head.outcome() == Outcome::Success;
        let end = if succeeded && status_in_trailers { Failure::Fault.into() } else { head };
        // A head that is no success is the verdict already; and hyper never polls a body that is at its end.
        let recorder = if !succeeded || inner.is_end_stream() {
            recorder.record(end);
            None
        } else {
            Some(recorder)
        };
        Self { inner, end, recorder }
    }
}

impl<B: Body> Body for Watch<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        // out of this body while the inner one is polled: a panic drops it there, and it knows why
        let Some(recorder) = this.recorder.take() else { return this.inner.poll_frame(cx) };
        let polled = this.inner.as_mut().poll_frame(cx);
        let verdict: Option<Verdict> = match &polled {
            Poll::Pending => None,
            Poll::Ready(Some(Err(_))) => Some(Failure::Transient.into()),
            Poll::Ready(Some(Ok(frame))) => match frame.trailers_ref() {
                Some(trailers) => Some(grpc_status(trailers).unwrap_or(*this.end)),
                // whoever asks `is_end_stream` does not poll again
                None if this.inner.is_end_stream() => Some(*this.end),
                None => None,
            },
            Poll::Ready(None) => Some(*this.end),
        };
        match verdict {
            Some(verdict) => recorder.record(verdict),
            None => *this.recorder = Some(recorder),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

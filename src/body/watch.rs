use super::status_place::StatusPlace;
use crate::classify::{Failure, GrpcFormat, Outcome, Recorder, Verdict, grpc_status};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::Instant;

pin_project! {
    /// A response body that reports the outcome of the whole response, once.
    ///
    /// | the body | outcome |
    /// | --- | --- |
    /// | ends, or the last byte of a known length has passed | the head's |
    /// | ends with a gRPC status, in the trailers or in the last frame of gRPC-Web | that of the status |
    /// | ends, and it is gRPC without a status | [`Failure::Fault`] |
    /// | fails | [`Failure::Transient`] |
    /// | is dropped before its first poll, or when the last poll was ready | the head's; for gRPC [`Outcome::Success`] after the first message, else [`Outcome::Ignored`] |
    /// | is dropped while a poll is pending | [`Failure::Timeout`] if the record calls that [stalled](crate::classify::Record::stalled), else [`Outcome::Ignored`]; for `text/event-stream` the head's, and for gRPC after the first message [`Outcome::Success`] |
    #[derive(Debug)]
    pub struct Watch<B> {
        #[pin]
        inner: B,
        recorder: Recorder,
        pending: Pending,
        place: StatusPlace,
    }

    impl<B> PinnedDrop for Watch<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // also in a panic, which is its reader's: while the body itself is polled, the recorder is not here
            if !this.recorder.is_nobody() {
                let recorder = this.recorder.take();
                let verdict = this.pending.dropped(&recorder).unwrap_or_else(|| this.place.dropped());
                recorder.record(verdict);
            }
        }
    }
}

/// Whether the last poll was pending.
#[derive(Debug, Clone, Copy)]
enum Pending {
    No,
    /// Since this moment.
    Since(Instant),
    /// It may be pending for any time: the clock is not read for it.
    Patiently,
}

impl Pending {
    /// The outcome of a body that is dropped while it is pending.
    fn dropped(self, recorder: &Recorder) -> Option<Verdict> {
        match self {
            Self::No | Self::Patiently => None,
            Self::Since(moment) if recorder.stalled(moment.elapsed()) => Some(Failure::Timeout.into()),
            Self::Since(_) => Some(Outcome::Ignored.into()),
        }
    }
}

impl<B: Body> Watch<B> {
    /// `headers` and `head`: of the response, and its verdict.
    pub(crate) fn new(inner: B, headers: &HeaderMap, head: Verdict, mut recorder: Recorder) -> Self {
        if recorder.is_nobody() {
            return Self { inner, recorder, pending: Pending::No, place: StatusPlace::unwatched() };
        }
        let place = StatusPlace::of(headers, &inner);
        // A head that is no success is the verdict already; and hyper never polls a body that is at its end.
        let known = if head.outcome() != Outcome::Success {
            Some(head)
        } else if inner.is_end_stream() {
            Some(place.ended())
        } else {
            place.known_at_head(&recorder)
        };
        if let Some(verdict) = known {
            recorder.take().record(verdict);
        }
        Self { inner, recorder, pending: Pending::No, place }
    }

    /// Whether a response whose head is a success has nothing left to wait for.
    pub(crate) fn ends_at_head(headers: &HeaderMap, body: &B) -> bool {
        // gRPC without a body has no status
        body.is_end_stream() && GrpcFormat::of_awaited(headers) != Some(GrpcFormat::Grpc)
    }
}

impl<B: Body> Body for Watch<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        if this.recorder.is_nobody() {
            return this.inner.poll_frame(cx);
        }
        // out of this body while the inner one is polled: a panic drops it there, and it knows why
        let recorder = this.recorder.take();
        let polled = this.inner.as_mut().poll_frame(cx);
        let verdict = match &polled {
            Poll::Pending => {
                if matches!(this.pending, Pending::No) {
                    let patient = this.place.is_patient();
                    *this.pending = if patient { Pending::Patiently } else { Pending::Since(Instant::now()) };
                }
                *this.recorder = recorder;
                return Poll::Pending;
            }
            Poll::Ready(Some(Err(_))) => Some(Failure::Transient.into()),
            Poll::Ready(Some(Ok(frame))) => match (frame.data_ref(), frame.trailers_ref()) {
                (Some(data), _) => {
                    let known = this.place.read(data, &recorder);
                    // a server that asks `is_end_stream` does not poll again
                    known.or_else(|| this.inner.is_end_stream().then(|| this.place.ended()))
                }
                (_, Some(trailers)) => Some(grpc_status(trailers).unwrap_or_else(|| this.place.ended())),
                _ => None,
            },
            Poll::Ready(None) => Some(this.place.ended()),
        };
        *this.pending = Pending::No;
        match verdict {
            Some(verdict) => recorder.record(verdict),
            None => *this.recorder = recorder,
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

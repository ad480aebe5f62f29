use crate::{
    body::{ReplayBody, ReplayError},
    error::BoxError,
};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Empty;
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::sync::{OwnedSemaphorePermit, mpsc::UnboundedReceiver};

/// A frame on its way from the detached handler to its caller. While the answer is kept anyway a slow caller costs nothing,
/// as bytes are shared; beyond that each frame carries a permit.
pub(super) type Sent = (Result<Frame<Bytes>, BoxError>, Option<OwnedSemaphorePermit>);

pin_project! {
    /// The response body under [`IdempotencyLayer`](super::IdempotencyLayer): the handler's own, its frames told on by the
    /// task that records them, or an answer from the store.
    ///
    /// Its error is a [`BoxError`] with the handler's own error in it, or [`ClaimLost`](super::ClaimLost).
    pub struct IdempotencyBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<B> {
        Inner { #[pin] body: B },
        Live { frames: UnboundedReceiver<Sent>, hint: SizeHint },
        // `exact`: the length is known, and no trailers follow, which HTTP/1.1 sends only where it is not
        Whole { #[pin] body: ReplayBody<Empty<Bytes>>, exact: bool },
    }
}

impl<B> IdempotencyBody<B> {
    pub(super) fn inner(body: B) -> Self {
        Self { kind: Kind::Inner { body } }
    }

    pub(super) fn live(frames: UnboundedReceiver<Sent>, hint: SizeHint) -> Self {
        Self { kind: Kind::Live { frames, hint } }
    }

    pub(super) fn whole(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        let exact = trailers.as_ref().is_none_or(HeaderMap::is_empty);
        Self { kind: Kind::Whole { body: ReplayBody::whole(data, trailers), exact } }
    }
}

impl<B> Body for IdempotencyBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().kind.project() {
            KindProj::Inner { body } => body.poll_frame(cx).map_err(Into::into),
            KindProj::Whole { body, .. } => body.poll_frame(cx).map_err(ReplayError::into_box),
            KindProj::Live { frames, hint } => {
                let Some((frame, _permit)) = ready!(frames.poll_recv(cx)) else { return Poll::Ready(None) };
                if let Some(data) = frame.as_ref().ok().and_then(Frame::data_ref) {
                    *hint = less(hint, data.len() as u64);
                }
                Poll::Ready(Some(frame))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Whole { body, .. } => body.is_end_stream(),
            // the record may still be on its way, or trailers
            Kind::Live { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Whole { body, exact: true } => body.size_hint(),
            Kind::Whole { body, exact: false } => at_least(body.size_hint().lower()),
            Kind::Live { hint, .. } => *hint,
        }
    }
}

/// Of a body of unknown length.
pub(super) fn at_least(lower: u64) -> SizeHint {
    let mut hint = SizeHint::new();
    hint.set_lower(lower);
    hint
}

/// What is left after `given`.
fn less(hint: &SizeHint, given: u64) -> SizeHint {
    let mut left = SizeHint::new();
    if let Some(upper) = hint.upper() {
        left.set_upper(upper.saturating_sub(given));
    }
    left.set_lower(hint.lower().saturating_sub(given));
    left
}

impl<B> fmt::Debug for IdempotencyBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Inner { .. } => "IdempotencyBody(inner)",
            Kind::Live { .. } => "IdempotencyBody(live)",
            Kind::Whole { .. } => "IdempotencyBody(whole)",
        })
    }
}

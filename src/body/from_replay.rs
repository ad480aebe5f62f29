use super::{LetGo, ReplayBody, ReplayError, SourceLost};
use crate::error::BoxError;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{
    BodyExt, Empty, Full,
    combinators::{BoxBody, UnsyncBoxBody},
};
use std::{
    any::Any,
    error::Error,
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

/// A request body that a kept copy of itself can be turned back into: so a layer that sends a request again, or reads it
/// first, has the same request type in and out.
///
/// Implemented for `Full<Bytes>`, `Empty<Bytes>`, `BoxBody`, `UnsyncBoxBody` and, each with its feature, `axum::body::Body`,
/// `tonic::body::Body` and `reqwest::Body`. hyper's `Incoming` cannot be made: put
/// `map_request(|r: Request<Incoming>| r.map(axum::body::Body::new))` outside.
#[diagnostic::on_unimplemented(
    message = "the request body `{Self}` cannot be made again from what was kept of it",
    note = "use axum::body::Body, tonic::body::Body, reqwest::Body (with the feature of that name), Full<Bytes>, BoxBody or UnsyncBoxBody; for hyper's `Incoming`: .map_request(|r| r.map(axum::body::Body::new))"
)]
pub trait FromReplay: Body<Data = Bytes> + Unpin + Sized {
    /// A body of this type that gives what `body` gives.
    fn from_replay(body: ReplayBody<Self>) -> Self;

    /// A body of this type that is here already.
    fn from_whole(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        Self::from_replay(ReplayBody::whole(data, trailers))
    }

    /// Whether a body of this type can fail with [`LetGo`]. Where it cannot (a boxed body with a foreign error type), a
    /// further attempt starts only after the one before has dropped its body.
    fn can_abort() -> bool {
        true
    }

    /// A cheap and complete copy, where there is one: then nothing is wrapped and nothing is kept.
    fn try_clone(&self) -> Option<Self> {
        None
    }
}

impl FromReplay for Full<Bytes> {
    // Read at once, since all of it is in memory: so it passes through the copy like any other body, and a later attempt
    // gets all of it. No body of this type is superseded before (`can_abort`).
    fn from_replay(mut body: ReplayBody<Self>) -> Self {
        let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut cx) {
            match frame.into_data() {
                Ok(data) if first.is_empty() => first = data,
                Ok(data) => rest.extend_from_slice(&data),
                Err(_) => {}
            }
        }
        if rest.is_empty() {
            return Self::new(first);
        }
        Self::new([first, rest.freeze()].concat().into())
    }

    fn can_abort() -> bool {
        false
    }

    fn try_clone(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl FromReplay for Empty<Bytes> {
    fn from_replay(_: ReplayBody<Self>) -> Self {
        Self::new()
    }

    fn can_abort() -> bool {
        false
    }

    fn try_clone(&self) -> Option<Self> {
        Some(Self::new())
    }
}

impl<E: 'static> FromReplay for UnsyncBoxBody<Bytes, E> {
    fn from_replay(body: ReplayBody<Self>) -> Self {
        SameError { inner: body }.boxed_unsync()
    }

    fn can_abort() -> bool {
        made_of::<E>(LetGo).is_some()
    }
}

// `Send + Sync`: the original lies inside the new box, which is both
impl<E: Send + Sync + 'static> FromReplay for BoxBody<Bytes, E> {
    fn from_replay(body: ReplayBody<Self>) -> Self {
        SameError { inner: body }.boxed()
    }

    fn can_abort() -> bool {
        made_of::<E>(LetGo).is_some()
    }
}

/// `error` as an `E`, where `E` can hold one. Why `Any`: the error of a boxed body is the caller's, and most cannot be made
/// here; with no bound but `'static` every boxed body is accepted.
fn made_of<E: 'static>(error: impl Error + Send + Sync + 'static) -> Option<E> {
    let mut slot: Option<E> = None;
    let any: &mut dyn Any = &mut slot;
    if let Some(boxed) = any.downcast_mut::<Option<BoxError>>() {
        *boxed = Some(error.into());
    } else if let Some(io) = any.downcast_mut::<Option<io::Error>>() {
        *io = Some(io::Error::other(error));
    }
    slot
}

/// Breaks a body off. Where its error type cannot hold that, it waits for ever: no server takes this for a complete upload. Such a
/// body (`can_abort` is false) is never taken over, so only a source that panicked and is polled again comes here.
fn broken<E: 'static>(error: impl Error + Send + Sync + 'static) -> Poll<Option<Result<Frame<Bytes>, E>>> {
    made_of(error).map_or(Poll::Pending, |error| Poll::Ready(Some(Err(error))))
}

/// A replay with the error type of its source.
struct SameError<B> {
    inner: ReplayBody<B>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for SameError<B>
where
    B::Error: 'static,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Poll::Ready(match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            None => None,
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(ReplayError::Source(error))) => Some(Err(error)),
            Some(Err(ReplayError::LetGo(_))) => return broken(LetGo),
            Some(Err(ReplayError::Lost(_))) => return broken(SourceLost),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

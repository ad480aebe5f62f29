use super::kept::{Caps, End, Kept};
use crate::error::BoxError;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

/// An attempt's body was taken over by a later attempt: it is broken off, never ended as if it were complete.
#[derive(Debug, Clone, Copy)]
pub struct LetGo;

impl fmt::Display for LetGo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a later attempt took the request body over")
    }
}

impl Error for LetGo {}

/// Why a [`ReplayBody`] broke off.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReplayError<E> {
    /// The original body failed: final, there is nothing to send again.
    Source(E),
    /// A later attempt took it over.
    LetGo(LetGo),
}

impl<E: Into<BoxError>> ReplayError<E> {
    /// The error of the original body, or [`LetGo`], boxed.
    pub fn into_box(self) -> BoxError {
        match self {
            Self::Source(error) => error.into(),
            Self::LetGo(error) => error.into(),
        }
    }
}

impl<E: fmt::Display> fmt::Display for ReplayError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::LetGo(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for ReplayError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Source(error) => Some(error),
            Self::LetGo(error) => Some(error),
        }
    }
}

/// A request body that can be sent again: what passes is kept while it streams, nothing is read ahead.
///
/// The source lies behind one mutex that all attempts share; the newest attempt owns it. A later attempt gets what was kept
/// and then goes on with the live source, and the body of the attempt before fails with [`LetGo`]. Only that switch ever
/// contends for the lock.
#[derive(Debug)]
pub struct ReplayBody<B> {
    kind: Kind<B>,
}

#[derive(Debug)]
enum Kind<B> {
    Whole { data: Option<Bytes>, trailers: Option<HeaderMap> },
    Shared(Shared<B>),
}

#[derive(Debug)]
struct Shared<B> {
    kept: Arc<Mutex<Kept<B>>>,
    attempt: u32,
    next: usize,
    gave_trailers: bool,
}

/// Makes further bodies out of what was kept.
///
/// Dropping it says that no further attempt comes: what was kept is freed, and the live body goes on unharmed.
#[derive(Debug)]
pub struct ReplayHandle<B> {
    kept: Arc<Mutex<Kept<B>>>,
    can_abort: bool,
}

/// The body for the first attempt, and what makes the next ones.
///
/// `can_abort`: whether the type that the body will be turned into can fail with [`LetGo`]
/// ([`FromReplay::can_abort`](super::FromReplay::can_abort)). Where it cannot, a further attempt has to wait until the one
/// before has dropped its body.
pub fn tee<B: Body<Data = Bytes> + Unpin>(source: B, caps: &Caps, can_abort: bool) -> (ReplayBody<B>, ReplayHandle<B>) {
    let end = if source.is_end_stream() { End::Done } else { End::Streaming };
    let kept = Arc::new(Mutex::new(Kept::new(source, end, caps.clone())));
    (ReplayBody::shared(kept.clone(), 1), ReplayHandle { kept, can_abort })
}

fn lock<B>(kept: &Mutex<Kept<B>>) -> MutexGuard<'_, Kept<B>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B> ReplayHandle<B> {
    /// Whether the whole body went out: only then may a caller wait for the response's body before it decides.
    pub fn is_complete(&self) -> bool {
        lock(&self.kept).end == End::Done
    }

    /// The body for the next attempt, which from now on owns the source. `None`: over a cap, the source failed, or the
    /// attempt before still holds a body that cannot be broken off.
    pub fn again(&self) -> Option<ReplayBody<B>> {
        let mut kept = lock(&self.kept);
        let free = kept.end == End::Done || self.can_abort || !kept.alive;
        if !kept.keeping || kept.end == End::Lost || !free {
            return None;
        }
        kept.owner += 1;
        kept.alive = true;
        if let Some(superseded) = kept.waker.take() {
            superseded.wake();
        }
        Some(ReplayBody::shared(self.kept.clone(), kept.owner))
    }
}

impl<B> Drop for ReplayHandle<B> {
    fn drop(&mut self) {
        let mut kept = lock(&self.kept);
        kept.wanted = false;
        // the first attempt has given out all that is kept; a later one frees it when it is through
        if kept.owner == 1 && kept.end == End::Streaming {
            kept.stop_keeping();
        }
    }
}

impl<B> ReplayBody<B> {
    /// A body that is here already.
    pub fn whole(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        Self { kind: Kind::Whole { data: Some(data).filter(|d| !d.is_empty()), trailers } }
    }

    fn shared(kept: Arc<Mutex<Kept<B>>>, attempt: u32) -> Self {
        Self { kind: Kind::Shared(Shared { kept, attempt, next: 0, gave_trailers: false }) }
    }

    /// What it was made of, where that is here as a whole: the bytes, or the source of which nothing was read.
    pub(super) fn into_parts(self) -> (Option<Bytes>, Option<B>) {
        match self.kind {
            Kind::Whole { data, .. } => (data, None),
            Kind::Shared(shared) => (None, lock(&shared.kept).source.take()),
        }
    }
}

impl<B> Drop for Shared<B> {
    fn drop(&mut self) {
        let mut kept = lock(&self.kept);
        if kept.owner == self.attempt {
            kept.alive = false;
        }
    }
}

type Polled<E> = Poll<Option<Result<Frame<Bytes>, ReplayError<E>>>>;

impl<B: Body<Data = Bytes> + Unpin> Shared<B> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled<B::Error> {
        let mut guard = lock(&self.kept);
        let kept = &mut *guard;
        let owner = kept.owner == self.attempt;
        let complete = kept.end == End::Done && kept.keeping;
        if !owner && !complete {
            return Poll::Ready(Some(Err(ReplayError::LetGo(LetGo))));
        }
        if let Some(chunk) = kept.chunks.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(chunk.clone()))));
        }
        if kept.end != End::Streaming {
            let trailers = kept.trailers.clone().filter(|_| !self.gave_trailers);
            self.gave_trailers = true;
            return Poll::Ready(trailers.map(|t| Ok(Frame::trailers(t))));
        }
        if kept.keeping && !kept.wanted {
            kept.stop_keeping();
        }
        let Some(source) = kept.source.as_mut() else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(source).poll_frame(cx) else {
            if !kept.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                kept.waker = Some(cx.waker().clone());
            }
            return Poll::Pending;
        };
        match &frame {
            None => kept.end = End::Done,
            Some(Err(_)) => {
                kept.end = End::Lost;
                kept.stop_keeping();
            }
            Some(Ok(frame)) => {
                pass(kept, frame);
                self.next = kept.chunks.len();
                self.gave_trailers |= frame.is_trailers();
            }
        }
        if kept.end != End::Streaming {
            kept.source = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(ReplayError::Source)))
    }
}

/// Keeps a frame that goes through.
fn pass<B: Body<Data = Bytes>>(kept: &mut Kept<B>, frame: &Frame<Bytes>) {
    if kept.keeping {
        if let Some(data) = frame.data_ref() {
            kept.keep(data);
        } else if let Some(trailers) = frame.trailers_ref() {
            kept.trailers = Some(trailers.clone());
        }
    }
    if frame.is_trailers() || kept.source.as_ref().is_some_and(Body::is_end_stream) {
        kept.end = End::Done;
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for ReplayBody<B> {
    type Data = Bytes;
    type Error = ReplayError<B::Error>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<B::Error> {
        match &mut self.kind {
            Kind::Whole { data, trailers } => {
                let frame = data.take().map(Frame::data).or_else(|| trailers.take().map(Frame::trailers));
                Poll::Ready(frame.map(Ok))
            }
            Kind::Shared(shared) => shared.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole { data, trailers } => data.is_none() && trailers.is_none(),
            Kind::Shared(shared) => {
                let kept = lock(&shared.kept);
                let given = shared.next >= kept.chunks.len() && (shared.gave_trailers || kept.trailers.is_none());
                kept.end == End::Done && given
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole { data, .. } => SizeHint::with_exact(data.as_ref().map_or(0, |d| d.len() as u64)),
            Kind::Shared(shared) => {
                let kept = lock(&shared.kept);
                let ahead = kept.chunks.iter().skip(shared.next).map(|c| c.len() as u64).sum();
                let rest = kept.source.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
                add(ahead, &rest)
            }
        }
    }
}

/// An exact hint stays exact: a `Content-Length` must not become a chunked body on a repeat.
pub(super) fn add(ahead: u64, rest: &SizeHint) -> SizeHint {
    let mut hint = SizeHint::new();
    if let Some(upper) = rest.upper().and_then(|n| n.checked_add(ahead)) {
        hint.set_upper(upper);
    }
    hint.set_lower(rest.lower().saturating_add(ahead));
    hint
}

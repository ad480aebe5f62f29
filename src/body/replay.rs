use super::{
    kept::Caps,
    upload::{Back, End, Place, Read, Seen, Step, Upload},
};
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

/// The source of a request body failed or panicked while an earlier attempt or poll read it: the body is broken off, never ended
/// as if it were complete.
#[derive(Debug, Clone, Copy)]
pub struct SourceLost;

impl fmt::Display for SourceLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the original request body broke off before")
    }
}

impl Error for SourceLost {}

/// Why a [`ReplayBody`] broke off.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReplayError<E> {
    /// The original body failed: final, there is nothing to send again.
    Source(E),
    /// A later attempt took it over.
    LetGo(LetGo),
    /// The original body failed before, in another attempt, or it panicked.
    Lost(SourceLost),
}

impl<E: Into<BoxError>> ReplayError<E> {
    /// Returns the error of the original body, [`LetGo`] or [`SourceLost`], boxed.
    pub fn into_box(self) -> BoxError {
        match self {
            Self::Source(error) => error.into(),
            Self::LetGo(error) => error.into(),
            Self::Lost(error) => error.into(),
        }
    }
}

impl<E: fmt::Display> fmt::Display for ReplayError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::LetGo(error) => error.fmt(f),
            Self::Lost(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for ReplayError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Source(error) => Some(error),
            Self::LetGo(error) => Some(error),
            Self::Lost(error) => Some(error),
        }
    }
}

/// A request body that can be sent again: it is copied while it streams, nothing is read ahead.
///
/// All attempts share the source; the newest attempt owns it. A later attempt gets the copy and then goes on with the live
/// source, and the body of the attempt before fails with [`LetGo`] from then on: it never ends, and
/// [`is_end_stream`](Body::is_end_stream) is never true for it. Once the source has ended, attempts do not disturb each other: each gives the whole copy.
///
/// The source is polled, asked and dropped without a lock, and so are wakers: a source may use the [`ReplayHandle`] of its own
/// body. A source that panics is lost: the bodies that wait for it fail with [`SourceLost`].
pub struct ReplayBody<B> {
    kind: Kind<B>,
}

enum Kind<B> {
    Whole { data: Option<Bytes>, trailers: Option<HeaderMap> },
    Shared(Shared<B>),
}

struct Shared<B> {
    upload: Arc<Mutex<Upload<B>>>,
    place: Place,
    /// The error of the source was given out.
    failed: bool,
}

/// Makes the bodies of further attempts from the copy.
///
/// Dropping it means that no further attempt follows: the copy is freed, and the live body goes on unharmed.
pub struct ReplayHandle<B> {
    upload: Arc<Mutex<Upload<B>>>,
    can_abort: bool,
}

/// Returns the body for the first attempt, and the handle that makes the next ones.
///
/// `can_abort`: whether the type that the body will be turned into can fail with [`LetGo`]
/// ([`FromReplay::can_abort`](super::FromReplay::can_abort)). Where it cannot, a further attempt has to wait until the one
/// before has dropped its body.
pub fn tee<B: Body<Data = Bytes> + Unpin>(source: B, caps: &Caps, can_abort: bool) -> (ReplayBody<B>, ReplayHandle<B>) {
    let end = if source.is_end_stream() { End::Done } else { End::Streaming };
    let rest = source.size_hint();
    let upload = Arc::new(Mutex::new(Upload::new(source, rest, end, caps.clone())));
    (ReplayBody::shared(upload.clone(), 1), ReplayHandle { upload, can_abort })
}

/// The lock is held for methods of [`Upload`] only, of which none runs foreign code.
fn lock<B>(upload: &Mutex<Upload<B>>) -> MutexGuard<'_, Upload<B>> {
    upload.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For `Debug`, whose writer is foreign: the state as it is, without the lock.
fn seen<B>(upload: &Mutex<Upload<B>>) -> Seen {
    lock(upload).seen()
}

impl<B> ReplayHandle<B> {
    /// Returns whether the whole body went out: only then may a caller wait for the response's body before it decides.
    pub fn is_complete(&self) -> bool {
        lock(&self.upload).is_complete()
    }

    /// Returns the body for the next attempt, which from now on owns the source. `None`: over a cap, the source failed, or the
    /// attempt before still holds a body that cannot be broken off.
    pub fn again(&self) -> Option<ReplayBody<B>> {
        let (attempt, superseded) = lock(&self.upload).again(self.can_abort)?;
        let body = ReplayBody::shared(self.upload.clone(), attempt);
        if let Some(superseded) = superseded {
            superseded.wake();
        }
        Some(body)
    }
}

impl<B> Drop for ReplayHandle<B> {
    fn drop(&mut self) {
        lock(&self.upload).unwanted();
    }
}

impl<B> ReplayBody<B> {
    /// Creates a body from data in memory.
    pub fn whole(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        Self { kind: Kind::Whole { data: Some(data).filter(|d| !d.is_empty()), trailers } }
    }

    fn shared(upload: Arc<Mutex<Upload<B>>>, attempt: u32) -> Self {
        let place = Place { attempt, given: 0, gave_trailers: false };
        Self { kind: Kind::Shared(Shared { upload, place, failed: false }) }
    }
}

impl<B> Drop for Shared<B> {
    fn drop(&mut self) {
        let waker = lock(&self.upload).dropped(self.place.attempt);
        drop(waker);
    }
}

/// The source, while an attempt polls it without the lock. Dropped with the source in it, it was lost to a panic.
struct Taken<'a, B> {
    upload: &'a Mutex<Upload<B>>,
    source: Option<B>,
}

impl<B> Taken<'_, B> {
    fn bring_back(mut self, attempt: u32, read: Read) -> Back<B> {
        lock(self.upload).bring_back(attempt, self.source.take(), read)
    }
}

impl<B> Drop for Taken<'_, B> {
    fn drop(&mut self) {
        if self.source.is_some() {
            let waiting = lock(self.upload).panicked();
            if let Some(waiting) = waiting {
                waiting.wake();
            }
        }
    }
}

type Polled<E> = Poll<Option<Result<Frame<Bytes>, ReplayError<E>>>>;

impl<B: Body<Data = Bytes> + Unpin> Shared<B> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled<B::Error> {
        let mut clone = None;
        let (source, known) = loop {
            // the guard is gone at the end of this line
            let step = lock(&self.upload).step(&self.place, cx.waker(), &mut clone);
            match step {
                Step::Poll { source, known } => break (source, known),
                Step::Give { frame, over } => {
                    drop(over);
                    return self.give(frame);
                }
                Step::End => return Poll::Ready(None),
                Step::Superseded => return Poll::Ready(Some(Err(ReplayError::LetGo(LetGo)))),
                // as any body after its error
                Step::Lost if self.failed => return Poll::Ready(None),
                Step::Lost => return Poll::Ready(Some(Err(ReplayError::Lost(SourceLost)))),
                Step::Wait { .. } => return Poll::Pending,
                Step::CloneWaker => clone = Some(cx.waker().clone()),
            }
        };
        let (back, read) = poll_taken(&self.upload, self.place.attempt, source, known, cx);
        // wakers and sources run code of the caller: only once the state is complete
        if let Some(wake) = back.wake {
            wake.wake();
        }
        drop(back.over);
        match read {
            Poll::Ready(Err(error)) => {
                self.failed = true;
                Poll::Ready(Some(Err(ReplayError::Source(error))))
            }
            _ if back.superseded => Poll::Ready(Some(Err(ReplayError::LetGo(LetGo)))),
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => match back.frame {
                Some(frame) => self.give(frame),
                None => Poll::Ready(None),
            },
        }
    }

    fn give(&mut self, frame: Frame<Bytes>) -> Polled<B::Error> {
        self.place.given += frame.data_ref().map_or(0, |data| data.len() as u64);
        self.place.gave_trailers |= frame.is_trailers();
        Poll::Ready(Some(Ok(frame)))
    }
}

/// Polls the source without the lock, and brings it back.
fn poll_taken<B: Body<Data = Bytes> + Unpin>(
    upload: &Mutex<Upload<B>>,
    attempt: u32,
    source: B,
    known: bool,
    cx: &mut Context<'_>,
) -> (Back<B>, Poll<Result<(), B::Error>>) {
    let mut taken = Taken { upload, source: None };
    let source = taken.source.insert(source);
    let (read, polled) = match Pin::new(&mut *source).poll_frame(cx) {
        Poll::Pending => (Read::Pending((!known).then(|| cx.waker().clone())), Poll::Pending),
        Poll::Ready(Some(Ok(frame))) => {
            let (rest, ends) = (source.size_hint(), source.is_end_stream());
            (Read::Frame { frame, rest, ends }, Poll::Ready(Ok(())))
        }
        Poll::Ready(Some(Err(error))) => (Read::Failed, Poll::Ready(Err(error))),
        Poll::Ready(None) => (Read::End, Poll::Ready(Ok(()))),
    };
    (taken.bring_back(attempt, read), polled)
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
            Kind::Shared(shared) => lock(&shared.upload).is_end_stream(&shared.place),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole { data, .. } => SizeHint::with_exact(data.as_ref().map_or(0, |d| d.len() as u64)),
            Kind::Shared(shared) => lock(&shared.upload).size_hint(&shared.place),
        }
    }
}

// The content belongs to the caller and may be secret: lengths and states only.
impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut body = f.debug_struct("ReplayBody");
        match &self.kind {
            Kind::Whole { data, trailers } => {
                body.field("bytes", &data.as_ref().map_or(0, Bytes::len)).field("trailers", &trailers.is_some())
            }
            Kind::Shared(Shared { upload, place, .. }) => {
                body.field("attempt", &place.attempt).field("given", &place.given).field("upload", &seen(upload))
            }
        };
        body.finish()
    }
}

impl<B> fmt::Debug for ReplayHandle<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayHandle").field("can_abort", &self.can_abort).field("upload", &seen(&self.upload)).finish()
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

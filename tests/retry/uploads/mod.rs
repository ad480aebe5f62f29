//! Replayed request bodies under hostile sources, wakers and chunks: memory, switches and locks.

mod locks;
mod memory;
mod orders;
mod servers;
mod superseded;
mod switches;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use proptest::{collection::vec, prelude::*};
use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};
use steadfast::body::{Caps, FromReplay, ReplayBody, ReplayError, ReplayHandle, tee};

type Polled = Poll<Option<Result<Frame<Bytes>, io::Error>>>;
type Replayed = ReplayBody<Source>;

/// A body that does what its closures do.
struct Source {
    poll: Box<dyn FnMut(&mut Context<'_>) -> Polled + Send>,
    hint: SizeHint,
    /// Whether an exact hint counts down.
    counts: bool,
    ends: Box<dyn Fn() -> bool + Send>,
    on_drop: Option<Box<dyn FnOnce() + Send>>,
}

impl Source {
    fn new(poll: impl FnMut(&mut Context<'_>) -> Polled + Send + 'static) -> Self {
        Self { poll: Box::new(poll), hint: SizeHint::new(), counts: true, ends: Box::new(|| false), on_drop: None }
    }

    /// Gives these, and then ends.
    fn of(frames: impl IntoIterator<Item = Frame<Bytes>, IntoIter: Send + 'static>) -> Self {
        let mut frames = frames.into_iter();
        Self::new(move |_| Poll::Ready(frames.next().map(Ok)))
    }

    fn with_length(mut self, length: u64) -> Self {
        self.hint = SizeHint::with_exact(length);
        self
    }

    fn with_drop(mut self, on_drop: impl FnOnce() + Send + 'static) -> Self {
        self.on_drop = Some(Box::new(on_drop));
        self
    }
}

impl Body for Source {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let polled = (self.poll)(cx);
        if let (Poll::Ready(Some(Ok(frame))), Some(left), true) = (&polled, self.hint.exact(), self.counts) {
            let data = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.hint = SizeHint::with_exact(left - data);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        (self.ends)()
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Some(on_drop) = self.on_drop.take() {
            on_drop();
        }
    }
}

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

fn give(text: &'static str) -> Polled {
    Poll::Ready(Some(Ok(data(text))))
}

/// The result of a poll, in words.
fn poll_with(body: &mut Replayed, waker: &Waker) -> String {
    match Pin::new(body).poll_frame(&mut Context::from_waker(waker)) {
        Poll::Pending => "pending".into(),
        Poll::Ready(None) => "end".into(),
        Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
            Ok(data) => String::from_utf8(data.into()).unwrap(),
            Err(_) => "trailers".into(),
        },
        Poll::Ready(Some(Err(error))) => match error {
            ReplayError::Source(error) => format!("error: {error}"),
            ReplayError::LetGo(_) => "superseded".into(),
            ReplayError::Lost(_) => "lost".into(),
            other => panic!("{other}"),
        },
    }
}

fn poll(body: &mut Replayed) -> String {
    poll_with(body, Waker::noop())
}

/// A waker that runs a closure when it wakes, and another when it is dropped.
struct Hostile {
    wake: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    dropped: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    woken: Arc<AtomicUsize>,
}

impl Wake for Hostile {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, SeqCst);
        let run = self.wake.lock().unwrap().take();
        if let Some(run) = run {
            run();
        }
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        if let Some(run) = self.dropped.get_mut().unwrap().take() {
            run();
        }
    }
}

fn hostile(wake: impl FnOnce() + Send + 'static, dropped: impl FnOnce() + Send + 'static) -> (Waker, Arc<AtomicUsize>) {
    let woken = Arc::new(AtomicUsize::new(0));
    let waker = Hostile {
        wake: Mutex::new(Some(Box::new(wake))),
        dropped: Mutex::new(Some(Box::new(dropped))),
        woken: woken.clone(),
    };
    (Arc::new(waker).into(), woken)
}

fn counting() -> (Waker, Arc<AtomicUsize>) {
    hostile(|| (), || ())
}

type Slot<T> = Arc<Mutex<Option<T>>>;

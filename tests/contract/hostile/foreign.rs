//! The types that users supply: a service, its futures, bodies, errors, and what requests carry.

use super::world::{Answer, Live, World, step, waker};
use crate::subject::{Asked, SECRET};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use steadfast::error::BoxError;
use tower::Service;

/// An inner service.
pub(crate) struct Inner(Live);

impl Inner {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self(Live::new(world))
    }
}

impl Clone for Inner {
    fn clone(&self) -> Self {
        self.0.0.called("the clone of a service");
        Self(self.0.clone())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.0.0.called("the drop of a service");
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.called("the Debug of a service");
        f.write_str("Inner")
    }
}

impl<Req> Service<Req> for Inner {
    type Response = Response<Streamed>;
    type Error = BoxError;
    type Future = Answering<Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let world = &self.0.0;
        world.called("poll_ready of a service");
        if world.is_ready() {
            return Poll::Ready(Ok(()));
        }
        world.wait(cx.waker().clone());
        Poll::Pending
    }

    fn call(&mut self, request: Req) -> Answering<Req> {
        self.0.0.called("the call of a service");
        Answering { live: self.0.clone(), _request: request, polls: 0 }
    }
}

/// What it answers with, at the third poll. Keeps the request as long.
pub(crate) struct Answering<Req> {
    live: Live,
    _request: Req,
    polls: u32,
}

impl<Req> Unpin for Answering<Req> {}

impl<Req> fmt::Debug for Answering<Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.live.0.called("the Debug of a future");
        f.write_str("Answering")
    }
}

impl<Req> Drop for Answering<Req> {
    fn drop(&mut self) {
        self.live.0.called("the drop of a future");
    }
}

impl<Req> Future for Answering<Req> {
    type Output = Result<Response<Streamed>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.polls += 1;
        let world = &self.live.0;
        world.called("the poll of a future");
        let answer = world.answer();
        if self.polls < 3 || answer == Answer::Never {
            world.wait(cx.waker().clone());
            return Poll::Pending;
        }
        if answer == Answer::Error {
            return Poll::Ready(Err(Box::new(Failed(self.live.clone()))));
        }
        let mut response = Response::new(Streamed { live: self.live.clone(), polls: 0 });
        if answer == Answer::Unavailable {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        response.extensions_mut().insert(Carried(self.live.clone()));
        Poll::Ready(Ok(response))
    }
}

/// A body of two chunks with owners, each after a wait.
pub(crate) struct Streamed {
    live: Live,
    polls: u32,
}

impl Streamed {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self { live: Live::new(world), polls: 0 }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.live.0.called("the drop of a body");
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.polls += 1;
        let world = &self.live.0;
        world.called("the poll of a body");
        match self.polls {
            1 | 3 => {
                world.wait(cx.waker().clone());
                Poll::Pending
            }
            2 | 4 => Poll::Ready(Some(Ok(Frame::data(owned(world))))),
            _ => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.live.0.called("is_end_stream of a body");
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.live.0.called("size_hint of a body");
        SizeHint::default()
    }
}

/// An error.
pub(crate) struct Failed(Live);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.called("the Display of an error");
        f.write_str("failed")
    }
}

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.called("the Debug of an error");
        f.write_str("Failed")
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.0.called("the source of an error");
        None
    }
}

impl Drop for Failed {
    fn drop(&mut self) {
        self.0.0.called("the drop of an error");
    }
}

/// An extension of a request or a response.
pub(crate) struct Carried(pub(crate) Live);

impl Clone for Carried {
    fn clone(&self) -> Self {
        self.0.0.called("the clone of an extension");
        Self(self.0.clone())
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.0.0.called("the drop of an extension");
    }
}

/// Bytes with an owner.
struct Owner(Live);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        SECRET.as_bytes()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.0.called("the drop of an owner of bytes");
    }
}

pub(crate) fn owned(world: &Arc<World>) -> Bytes {
    Bytes::from_owner(Owner(Live::new(world)))
}

/// A request of a key of its own.
pub(crate) fn request(world: &Arc<World>) -> Asked {
    let key = world.calls();
    Request::put(format!("http://example.com/{SECRET}"))
        .header("idempotency-key", format!("{SECRET}-{key}-{}", fastrand_u64()))
        .extension(Carried(Live::new(world)))
        .body(Full::from(owned(world)))
        .unwrap()
}

fn fastrand_u64() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// Polls with a waker that this poll has the first of: mostly the layer keeps the only one.
pub(crate) fn with_waker<T>(world: &Arc<World>, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
    let waker = waker(world);
    let out = poll(&mut Context::from_waker(&waker));
    // a panic of a drop at the end of a function leaks what the function returns
    step(|| drop(waker));
    out
}

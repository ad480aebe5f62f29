use crate::{error::BoxError, sync::WakeList};
use std::{
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};
use tower_service::Service;

/// A breach of tower's contract by whoever called a [`Probe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Breach {
    /// `call` on an instance that had not answered `poll_ready` with `Ready(Ok)` since its last call. Readiness is not cloned.
    CalledUnready,
    /// `poll` on a future that had answered before.
    PolledAfterAnswer,
}

/// An inner service that answers as told and writes down what was done to it.
///
/// Clones are one service with one script and one record; only readiness is each instance's own, as the contract has it. See
/// the [module docs](crate::testing) for an example.
pub struct Probe<Res, E = BoxError> {
    script: Arc<Script<Res, E>>,
    ready: bool,
}

struct Script<Res, E> {
    answer: Box<dyn Fn(u32) -> Result<Res, E> + Send + Sync>,
    seen: Mutex<Seen<E>>,
}

struct Seen<E> {
    unready: bool,
    broken: Option<E>,
    polls: u32,
    calls: u32,
    running: u32,
    abandoned: u32,
    reserved: u32,
    breaches: Vec<Breach>,
    wakers: Vec<Waker>,
}

impl<Res, E> Probe<Res, E> {
    /// Always ready; call number *n* (the first is 1) is answered with `answer(n)` at the first poll.
    pub fn new(answer: impl Fn(u32) -> Result<Res, E> + Send + Sync + 'static) -> Self {
        let seen = Seen {
            unready: false,
            broken: None,
            polls: 0,
            calls: 0,
            running: 0,
            abandoned: 0,
            reserved: 0,
            breaches: Vec::new(),
            wakers: Vec::new(),
        };
        Self { script: Arc::new(Script { answer: Box::new(answer), seen: Mutex::new(seen) }), ready: false }
    }

    /// From now on an answer takes `polls` polls that are pending before it; `u32::MAX`: it never comes.
    pub fn set_polls(&self, polls: u32) {
        self.change(|seen| seen.polls = polls);
    }

    /// Whether `poll_ready` answers. What is pending is woken.
    pub fn set_ready(&self, ready: bool) {
        self.change(|seen| seen.unready = !ready);
    }

    /// The next `poll_ready` fails with `error`.
    pub fn break_ready(&self, error: E) {
        let before = self.change(|seen| seen.broken.replace(error));
        drop(before);
    }

    /// Calls that began.
    pub fn calls(&self) -> u32 {
        self.seen().calls
    }

    /// Calls that have neither answered nor been dropped.
    pub fn running(&self) -> u32 {
        self.seen().running
    }

    /// Calls whose future was dropped before it answered.
    pub fn abandoned(&self) -> u32 {
        self.seen().abandoned
    }

    /// Instances that said that they are ready and were not called yet: what a limit would hold a permit for.
    pub fn reserved(&self) -> u32 {
        self.seen().reserved
    }

    /// Every breach of the contract so far.
    pub fn breaches(&self) -> Vec<Breach> {
        self.seen().breaches.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen<E>> {
        self.script.seen()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Seen<E>) -> T) -> T {
        let (out, wakers) = {
            let mut seen = self.seen();
            (change(&mut seen), mem::take(&mut seen.wakers))
        };
        drop(WakeList::from_iter(wakers));
        out
    }
}

impl<Res, E> Script<Res, E> {
    fn seen(&self) -> MutexGuard<'_, Seen<E>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Req, Res, E> Service<Req> for Probe<Res, E> {
    type Response = Res;
    type Error = E;
    type Future = ProbeFuture<Req, Res, E>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        // cloned before the lock: a waker is foreign
        let waker = cx.waker().clone();
        let mut seen = self.script.seen();
        if let Some(error) = seen.broken.take() {
            return Poll::Ready(Err(error));
        }
        if seen.unready && !self.ready {
            seen.wakers.push(waker);
            return Poll::Pending;
        }
        seen.reserved += u32::from(!mem::replace(&mut self.ready, true));
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let mut seen = self.script.seen();
        if mem::take(&mut self.ready) {
            seen.reserved -= 1;
        } else {
            seen.breaches.push(Breach::CalledUnready);
        }
        seen.calls += 1;
        seen.running += 1;
        let (call, polls) = (seen.calls, seen.polls);
        ProbeFuture { script: self.script.clone(), request: Some(request), call, polls }
    }
}

/// The answer of a [`Probe`]. It holds the request until it answers or is dropped.
pub struct ProbeFuture<Req, Res, E> {
    script: Arc<Script<Res, E>>,
    /// `None`: it has answered.
    request: Option<Req>,
    call: u32,
    polls: u32,
}

// nothing in it is pinned
impl<Req, Res, E> Unpin for ProbeFuture<Req, Res, E> {}

impl<Req, Res, E> Future for ProbeFuture<Req, Res, E> {
    type Output = Result<Res, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.request.is_none() {
            self.script.seen().breaches.push(Breach::PolledAfterAnswer);
            return Poll::Pending;
        }
        match self.polls {
            0 => {
                self.request = None;
                self.script.seen().running -= 1;
                Poll::Ready((self.script.answer)(self.call))
            }
            u32::MAX => Poll::Pending,
            _ => {
                self.polls -= 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl<Req, Res, E> Drop for ProbeFuture<Req, Res, E> {
    fn drop(&mut self) {
        if self.request.is_some() {
            let mut seen = self.script.seen();
            seen.running -= 1;
            seen.abandoned += 1;
        }
    }
}

/// Another instance of the same service, which is not ready yet.
impl<Res, E> Clone for Probe<Res, E> {
    fn clone(&self) -> Self {
        Self { script: self.script.clone(), ready: false }
    }
}

impl<Res, E> Drop for Probe<Res, E> {
    fn drop(&mut self) {
        if self.ready {
            self.script.seen().reserved -= 1;
        }
    }
}

impl<Res, E> fmt::Debug for Probe<Res, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // the writer is foreign: nothing is locked while it writes
        f.debug_struct("Probe")
            .field("ready", &self.ready)
            .field("calls", &self.calls())
            .field("running", &self.running())
            .field("breaches", &self.breaches())
            .finish_non_exhaustive()
    }
}

impl<Req, Res, E> fmt::Debug for ProbeFuture<Req, Res, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeFuture").field("call", &self.call).finish_non_exhaustive()
    }
}

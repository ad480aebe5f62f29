use bytes::Bytes;
use http::HeaderMap;
use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
};

/// How much of request bodies may be kept for a repeat: per request, and for all that share it.
///
/// [`Caps::default`] is 64 KiB a request and 64 MiB for the whole process: all defaults share one account.
#[derive(Debug, Clone)]
pub struct Caps {
    request: usize,
    total: usize,
    used: Arc<AtomicUsize>,
}

impl Caps {
    /// Bytes kept per request by default.
    pub const REQUEST: usize = 64 << 10;
    /// Bytes kept in the process by default.
    pub const PROCESS: usize = 64 << 20;

    /// At most `request` bytes for one request and `total` for all that share this value or a clone of it.
    pub fn new(request: usize, total: usize) -> Self {
        Self { request, total, used: Arc::default() }
    }

    /// Bytes kept at this moment.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn reserve(&self, kept: usize, more: usize) -> bool {
        let within = kept.checked_add(more).is_some_and(|n| n <= self.request);
        let grow = |used: usize| used.checked_add(more).filter(|n| *n <= self.total);
        within && self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow).is_ok()
    }

    fn release(&self, kept: usize) {
        self.used.fetch_sub(kept, Ordering::Relaxed);
    }
}

impl Default for Caps {
    fn default() -> Self {
        static PROCESS: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);
        Self { request: Self::REQUEST, total: Self::PROCESS, used: PROCESS.clone() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// More is to come.
    Streaming,
    /// All of it went out.
    Done,
    /// The source failed: there is nothing to send again.
    Lost,
}

/// What all attempts of one request share.
#[derive(Debug)]
pub(super) struct Kept<B> {
    pub(super) source: Option<B>,
    pub(super) end: End,
    pub(super) chunks: Vec<Bytes>,
    pub(super) trailers: Option<HeaderMap>,
    /// `false`: over a cap, or nobody will ask again; the source only passes through.
    pub(super) keeping: bool,
    /// Somebody may still ask for another attempt.
    pub(super) wanted: bool,
    /// The attempt that may poll the source: the newest.
    pub(super) owner: u32,
    /// The owner's body exists.
    pub(super) alive: bool,
    /// Of the owner, while it waits for the source.
    pub(super) waker: Option<Waker>,
    bytes: usize,
    caps: Caps,
}

impl<B> Kept<B> {
    pub(super) fn new(source: B, end: End, caps: Caps) -> Self {
        Self {
            source: Some(source),
            end,
            chunks: Vec::new(),
            trailers: None,
            keeping: true,
            wanted: true,
            owner: 1,
            alive: true,
            waker: None,
            bytes: 0,
            caps,
        }
    }

    /// Keeps a chunk that passes; over a cap nothing is kept any more.
    pub(super) fn keep(&mut self, chunk: &Bytes) {
        if self.caps.reserve(self.bytes, chunk.len()) {
            self.bytes += chunk.len();
            self.chunks.push(chunk.clone());
        } else {
            self.stop_keeping();
        }
    }

    pub(super) fn stop_keeping(&mut self) {
        self.keeping = false;
        self.caps.release(std::mem::take(&mut self.bytes));
        self.chunks = Vec::new();
        self.trailers = None;
    }
}

impl<B> Drop for Kept<B> {
    fn drop(&mut self) {
        self.caps.release(self.bytes);
    }
}

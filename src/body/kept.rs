use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::{
    fmt,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Limits on the memory that holds copies of request bodies for a retry: per request, and for all requests that share it.
///
/// The limits count memory, not payload: a copy lies in one buffer, whose capacity counts, however small the chunks of the
/// body were and however large the allocation that they were cut from. Trailers count with the memory that holds them. A body of
/// exactly the limit is kept. The state of a request besides its copy, some 400 bytes, does not count, as its head does not.
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

    /// Creates limits of `request` bytes for one request and `total` bytes for all that share this value or a clone of it.
    pub fn new(request: usize, total: usize) -> Self {
        Self { request, total, used: Arc::default() }
    }

    /// Returns the bytes of memory that copies occupy at this moment.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn reserve(&self, held: usize, more: usize) -> bool {
        let within = held.checked_add(more).is_some_and(|n| n <= self.request);
        let grow = |used: usize| used.checked_add(more).filter(|n| *n <= self.total);
        within && self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow).is_ok()
    }

    fn release(&self, held: usize) {
        self.used.fetch_sub(held, Ordering::Relaxed);
    }
}

impl Default for Caps {
    fn default() -> Self {
        static PROCESS: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);
        Self { request: Self::REQUEST, total: Self::PROCESS, used: PROCESS.clone() }
    }
}

/// The smallest buffer that a second chunk is copied to.
const SMALLEST: usize = 512;

/// The longest frame that is copied out of a buffer that still grows.
const LONGEST_COPY: usize = 64 << 10;

/// The copy of one body as far as it was sent, in a buffer of this crate.
///
/// Chunks are copied and not shared: the size of the allocation that a `Bytes` was cut from cannot be known, and dropping the
/// last part of it may run code of the caller ([`Bytes::from_owner`]) under the lock of the body.
pub(super) struct Kept {
    open: Vec<u8>,
    /// The content of `open`, once the body is complete: the attempts share it.
    whole: Bytes,
    /// In less memory than a map takes.
    trailers: Option<Vec<(HeaderName, HeaderValue)>>,
    /// The length of the whole body, by the last hint that was used.
    claimed: usize,
    /// Bytes that are reserved of the caps: the capacity of the buffer, and the trailers.
    held: usize,
    caps: Caps,
}

impl Kept {
    pub(super) const fn new(caps: Caps) -> Self {
        Self { open: Vec::new(), whole: Bytes::new(), trailers: None, claimed: usize::MAX, held: 0, caps }
    }

    /// Copies a chunk, after which at most `rest` bytes follow. `false`: it does not fit under the caps.
    pub(super) fn push(&mut self, chunk: &[u8], rest: Option<u64>) -> bool {
        let needed = self.open.len().saturating_add(chunk.len());
        if needed > self.open.capacity() && !self.grow(needed, rest) {
            return false;
        }
        self.open.extend_from_slice(chunk);
        true
    }

    /// Doubles the buffer, but not beyond the body's end nor the caps; to `needed` at least.
    fn grow(&mut self, needed: usize, rest: Option<u64>) -> bool {
        let now = self.open.capacity();
        // a hint that was wrong once is not used again, or the buffer would grow by every chunk
        if needed <= self.claimed {
            let rest = rest.and_then(|rest| usize::try_from(rest).ok());
            self.claimed = rest.map_or(usize::MAX, |rest| needed.saturating_add(rest));
        }
        let end = if needed <= self.claimed { self.claimed } else { usize::MAX };
        let room = self.caps.request.saturating_sub(self.held).saturating_add(now);
        let doubled = if now == 0 { needed } else { now.saturating_mul(2).max(SMALLEST) };
        let wanted = doubled.min(end).min(room).max(needed);
        let Some(capacity) = [wanted, needed].into_iter().find(|to| self.caps.reserve(self.held, to - now)) else {
            return false;
        };
        self.held += capacity - now;
        self.open.reserve_exact(capacity - self.open.len());
        true
    }

    /// Copies the trailers. `false`: they do not fit under the caps.
    pub(super) fn push_trailers(&mut self, trailers: &HeaderMap) -> bool {
        let mut copy = Vec::with_capacity(trailers.len());
        for (name, value) in trailers {
            // of the value's own bytes, for the same reasons as those of a chunk
            let Ok(mut copied) = HeaderValue::from_bytes(value.as_bytes()) else { return false };
            copied.set_sensitive(value.is_sensitive());
            copy.push((name.clone(), copied));
        }
        let text: usize = copy.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let memory = copy.capacity() * size_of::<(HeaderName, HeaderValue)>() + text;
        if !self.caps.reserve(self.held, memory) {
            return false;
        }
        self.held += memory;
        self.trailers = Some(copy);
        true
    }

    /// Gives back the capacity that the body did not need, at its end.
    pub(super) fn close(&mut self) {
        let (before, mut data) = (self.open.capacity(), std::mem::take(&mut self.open));
        data.shrink_to_fit();
        let too_much = before.saturating_sub(data.capacity()).min(self.held);
        self.held -= too_much;
        self.caps.release(too_much);
        self.whole = data.into();
    }

    /// A part of the copy that begins at `offset`.
    pub(super) fn read(&self, offset: u64) -> Option<Bytes> {
        let offset = usize::try_from(offset).ok()?;
        if offset < self.whole.len() {
            return Some(self.whole.slice(offset..));
        }
        let rest = self.open.get(offset..).filter(|rest| !rest.is_empty())?;
        Some(Bytes::copy_from_slice(rest.get(..LONGEST_COPY).unwrap_or(rest)))
    }

    pub(super) const fn has_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    pub(super) fn trailers(&self) -> Option<HeaderMap> {
        let mut map = HeaderMap::new();
        for (name, value) in self.trailers.as_ref()? {
            map.append(name.clone(), value.clone());
        }
        Some(map)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.caps.release(self.held);
    }
}

/// What `Debug` shows of a copy: not the bytes, they may be secret.
pub(super) struct Seen {
    bytes: usize,
    trailers: bool,
    held: usize,
}

impl Kept {
    pub(super) fn seen(&self) -> Seen {
        let bytes = self.open.len() + self.whole.len();
        Seen { bytes, trailers: self.trailers.is_some(), held: self.held }
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("bytes", &self.bytes)
            .field("trailers", &self.trailers)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

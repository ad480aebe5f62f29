use super::{
    super::released::{RELEASED, Released},
    MemoryStore,
};
use crate::{
    error::{BoxFuture, StoreError},
    idempotency::{Begin, Begun, Fence, Fenced, Fingerprint, IdempotencyStore, Recorded, StoreKey, StoredResponse},
    token::{StoreId, Token},
};
use bytes::Bytes;
use http::HeaderMap;
use std::{
    cmp::Reverse,
    collections::{
        BinaryHeap, HashMap,
        hash_map::{Entry, OccupiedEntry},
    },
    future::ready,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

const SHARDS: usize = 64;
const MAX_RECORDS: usize = 1_000_000;
const MAX_BYTES: usize = 256 << 20;
/// What a record takes besides its answer: row, map slot, place in the order of expiry.
const ROW: usize = 256;
/// How many expired records a new one takes along.
const SWEPT: usize = 2;
/// How many released tokens a shard remembers: none of a store in memory comes late, unless it is asked through a layer of the
/// user's that delays.
const REMEMBERED: usize = 160;
/// A table of fewer places is not worth making smaller.
const SMALL: usize = 64;

/// Records by key, in shards that are locked one at a time.
pub(super) struct Records {
    shards: [Mutex<Shard>; SHARDS],
    /// Where the next sweep begins.
    cursor: AtomicUsize,
    count: AtomicUsize,
    bytes: AtomicUsize,
    max_count: AtomicUsize,
    max_bytes: AtomicUsize,
}

#[derive(Default)]
struct Shard {
    rows: HashMap<StoreKey, Row>,
    /// Completed records by expiry. One of a row that is gone or was claimed again is passed over by its token.
    expiry: BinaryHeap<Expiry>,
    released: Released,
}

impl Shard {
    /// Gives memory back after a peak. Moves fewer than an eighth of as many rows as were removed since the table grew.
    fn shrink(&mut self) {
        let rows = self.rows.len();
        if self.rows.capacity() > SMALL && rows < self.rows.capacity() / 8 {
            self.rows.shrink_to(rows * 2);
        }
        let left = self.expiry.len();
        if self.expiry.capacity() > SMALL && left < self.expiry.capacity() / 8 {
            self.expiry.shrink_to(left * 2);
        }
    }
}

/// When, which key, and whose record: the earliest is the greatest.
type Expiry = Reverse<(Instant, [u8; 32], [u8; 16])>;

/// A row whose handler runs.
type Running<'a> = OccupiedEntry<'a, StoreKey, Row>;

struct Row {
    fingerprint: Fingerprint,
    token: Token,
    attempt: u32,
    /// Running: when the claim lapses. Completed: when the record expires.
    until: Instant,
    recorded: Option<Kept>,
    bytes: usize,
}

/// An answer as one blob: a header map of two headers takes half a kilobyte, and holds on to the buffers that it was cut from.
enum Kept {
    Response(Bytes),
    NotRetained,
}

impl From<Recorded> for Kept {
    fn from(recorded: Recorded) -> Self {
        match recorded {
            Recorded::Response(response) => Self::Response(response.encode().into()),
            Recorded::NotRetained => Self::NotRetained,
        }
    }
}

impl Kept {
    /// What cannot be read, which does not happen, was done all the same.
    fn recorded(&self) -> Recorded {
        match self {
            Self::Response(blob) => {
                StoredResponse::decode(blob.clone()).map_or(Recorded::NotRetained, Recorded::Response)
            }
            Self::NotRetained => Recorded::NotRetained,
        }
    }
}

impl Row {
    fn is_expired(&self, now: Instant) -> bool {
        self.recorded.is_some() && self.until <= now
    }
}

impl Default for Records {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            cursor: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            max_count: AtomicUsize::new(MAX_RECORDS),
            max_bytes: AtomicUsize::new(MAX_BYTES),
        }
    }
}

impl Records {
    fn shard(&self, key: &StoreKey) -> MutexGuard<'_, Shard> {
        // the key is a SHA-256: any byte of it spreads evenly
        lock(&self.shards[usize::from(key.0[0]) % SHARDS])
    }

    /// Room for `count` records and `bytes`, or none of both.
    fn reserve(&self, count: usize, bytes: usize) -> bool {
        if !grow(&self.count, count, &self.max_count) {
            return false;
        }
        let fits = grow(&self.bytes, bytes, &self.max_bytes);
        if !fits {
            self.count.fetch_sub(count, Relaxed);
        }
        fits
    }

    fn free(&self, row: &Row) {
        self.count.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(row.bytes, Relaxed);
    }

    /// At most `most` expired ones of one shard.
    fn sweep_shard(&self, shard: &mut Shard, now: Instant, most: usize) -> usize {
        let mut swept = 0;
        while swept < most && shard.expiry.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((_, key, token))) = shard.expiry.pop() else { break };
            if let Entry::Occupied(row) = shard.rows.entry(StoreKey(key))
                && row.get().token == Token(token)
                && row.get().is_expired(now)
            {
                self.free(&row.remove());
                swept += 1;
            }
        }
        if swept > 0 {
            shard.shrink();
        }
        swept
    }

    fn sweep(&self, most: usize) -> usize {
        let now = Instant::now();
        let first = self.cursor.fetch_add(1, Relaxed);
        let mut swept = 0;
        for n in 0..SHARDS {
            if swept == most {
                break;
            }
            let mut shard = lock(&self.shards[first.wrapping_add(n) % SHARDS]);
            shard.released.forget(now);
            swept += self.sweep_shard(&mut shard, now, most - swept);
        }
        swept
    }

    fn begin(&self, begin: &Begin) -> Result<Begun, StoreError> {
        // full: expired ones may lie in other shards
        match self.try_begin(begin) {
            Err(error) if error.is_full() && self.sweep(SHARDS) > 0 => self.try_begin(begin),
            begun => begun,
        }
    }

    fn try_begin(&self, begin: &Begin) -> Result<Begun, StoreError> {
        let now = Instant::now();
        let mut shard = self.shard(&begin.key);
        let is_released = shard.released.has(begin.token);
        self.sweep_shard(&mut shard, now, SWEPT);
        let row = Row {
            fingerprint: begin.fingerprint,
            token: begin.token,
            attempt: 1,
            until: later(now, begin.lease),
            recorded: None,
            bytes: ROW,
        };
        match shard.rows.entry(begin.key) {
            Entry::Occupied(mut there) if !there.get().is_expired(now) => {
                claim(there.get_mut(), row, begin, now, is_released)
            }
            _ if is_released => Err(RELEASED),
            Entry::Occupied(mut there) => {
                self.bytes.fetch_sub(there.get().bytes - ROW, Relaxed);
                there.insert(row);
                Ok(Begun::Acquired { attempt: 1 })
            }
            Entry::Vacant(free) if self.reserve(1, ROW) => {
                free.insert(row);
                Ok(Begun::Acquired { attempt: 1 })
            }
            Entry::Vacant(_) => Err(StoreError::full("the memory store is full")),
        }
    }

    /// `work` on the running row of this fence; with it, where it goes when it is completed.
    fn fenced(&self, fence: Fence, work: impl FnOnce(Running<'_>, &mut BinaryHeap<Expiry>, Instant)) -> Fenced {
        let now = Instant::now();
        let Shard { rows, expiry, .. } = &mut *self.shard(&fence.key);
        let Entry::Occupied(there) = rows.entry(fence.key) else { return Fenced::Lost };
        let row = there.get();
        if row.token != fence.token || row.is_expired(now) {
            return Fenced::Lost;
        }
        if row.recorded.is_some() {
            return Fenced::Already;
        }
        work(there, expiry, now);
        Fenced::Done
    }

    /// Removes expired records, of all shards, until there is room for an answer of so many bytes, or none is left.
    fn make_room(&self, bytes: usize) {
        let has_room = || self.bytes.load(Relaxed).saturating_add(bytes) <= self.max_bytes.load(Relaxed);
        while !has_room() && self.sweep(SHARDS) > 0 {}
    }

    fn complete(&self, fence: Fence, recorded: Recorded, keep: Duration) -> Fenced {
        // before the lock: the bytes of a response may have an owner, whose drop is foreign
        let bytes = size(&recorded);
        let recorded = Kept::from(recorded);
        self.make_room(bytes);
        self.fenced(fence, |mut running, expiry, now| {
            let (recorded, bytes) = if self.reserve(0, bytes) { (recorded, bytes) } else { (Kept::NotRetained, 0) };
            let until = later(now, keep);
            let row = running.get_mut();
            (row.recorded, row.until) = (Some(recorded), until);
            row.bytes += bytes;
            expiry.push(Reverse((until, fence.key.0, fence.token.0)));
        })
    }
}

/// What `begin` finds in a row that has not expired.
fn claim(there: &mut Row, new: Row, begin: &Begin, now: Instant, is_released: bool) -> Result<Begun, StoreError> {
    if !there.fingerprint.matches(&begin.fingerprint) {
        return Ok(Begun::Mismatch);
    }
    if let Some(recorded) = &there.recorded {
        return Ok(Begun::Completed(recorded.recorded()));
    }
    let attempt = if there.token == begin.token {
        there.attempt
    } else if there.until > now {
        return Ok(Begun::InFlight { lease_left: there.until - now });
    } else if begin.take_over == Some(there.token) {
        there.attempt.saturating_add(1)
    } else {
        return Ok(Begun::Lapsed { stale: there.token, attempt: there.attempt });
    };
    if is_released {
        return Err(RELEASED);
    }
    *there = Row { attempt, ..new };
    Ok(Begun::Acquired { attempt })
}

impl MemoryStore {
    /// At most so many records, running claims included.
    #[must_use]
    pub fn with_max_records(self, most: usize) -> Self {
        self.inner.records.max_count.store(most, Relaxed);
        self
    }

    /// At most so many bytes of records: answers, and 256 bytes besides for each record.
    #[must_use]
    pub fn with_max_bytes(self, most: usize) -> Self {
        self.inner.records.max_bytes.store(most, Relaxed);
        self
    }

    /// How many records there are: running, completed, and expired but not swept yet.
    pub fn records(&self) -> usize {
        self.inner.records.count.load(Relaxed)
    }

    /// How many bytes they take, as [`with_max_bytes`](Self::with_max_bytes) counts them.
    pub fn record_bytes(&self) -> usize {
        self.inner.records.bytes.load(Relaxed)
    }
}

impl IdempotencyStore for MemoryStore {
    fn id(&self) -> StoreId {
        self.inner.id
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Begun, StoreError>> {
        Box::pin(ready(self.inner.records.begin(&begin)))
    }

    fn complete(&self, fence: Fence, recorded: Recorded, keep: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(ready(Ok(self.inner.records.complete(fence, recorded, keep))))
    }

    fn renew(&self, fence: Fence, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(ready(Ok(self.inner.records.fenced(fence, |mut running, _, now| {
            running.get_mut().until = later(now, lease);
        }))))
    }

    fn release(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        let records = &self.inner.records;
        records.shard(&fence.key).released.add(fence.token, Instant::now(), REMEMBERED);
        Box::pin(ready(Ok(records.fenced(fence, |running, _, _| records.free(&running.remove())))))
    }

    fn settled(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(ready(Ok(self.inner.records.fenced(fence, |_, _, _| {}))))
    }

    fn get(&self, key: StoreKey) -> BoxFuture<'_, Result<Option<Recorded>, StoreError>> {
        let shard = self.inner.records.shard(&key);
        let row = shard.rows.get(&key).filter(|row| !row.is_expired(Instant::now()));
        Box::pin(ready(Ok(row.and_then(|row| row.recorded.as_ref().map(Kept::recorded)))))
    }

    fn sweep(&self, most: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(ready(Ok(self.inner.records.sweep(most))))
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds, if the sum stays within the bound. Nothing added always fits: what is running may end in a full store.
fn grow(used: &AtomicUsize, more: usize, most: &AtomicUsize) -> bool {
    let most = most.load(Relaxed);
    more == 0 || used.fetch_update(Relaxed, Relaxed, |n| n.checked_add(more).filter(|n| *n <= most)).is_ok()
}

fn later(now: Instant, by: Duration) -> Instant {
    now.checked_add(by).unwrap_or_else(|| now + Duration::from_secs(30 * 365 * 24 * 3600))
}

fn size(recorded: &Recorded) -> usize {
    let fields = |map: &HeaderMap| map.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
    match recorded {
        Recorded::Response(response) => {
            response.body.len() + fields(&response.headers) + response.trailers.as_ref().map_or(0, fields)
        }
        Recorded::NotRetained => 0,
    }
}

#[cfg(test)]
mod tests;

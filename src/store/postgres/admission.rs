//! How many calls use the pool at once, and how many wait until they may.

use crate::error::StoreError;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

/// Calls from outside that have waited without a gap for so long are more than a burst: from then on they come faster than they are done.
const BURST: Duration = Duration::from_secs(2);
/// How long each of them waits then. Without this the one that is served is the one that has waited longest, whose caller is
/// about to leave; half of what the layer of keys waits is left to it.
const SHORT: Duration = Duration::from_secs(1);

/// Refused at once: nothing was sent.
const FULL: StoreError = StoreError::refused("too many calls wait for a connection");
const ENDED: StoreError = StoreError::new("the runtime is going down");

/// A place for each connection of the pool, so that a call that has one waits for no other call of the store.
///
/// Calls from outside pass two semaphores of that size, those of the service itself pass the second one alone. So the latter wait
/// behind no more of the former than there are connections, however many wait, and no place is kept free for them.
pub(super) struct Admission {
    outside: Arc<Semaphore>,
    places: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
}

/// Calls at the first semaphore.
#[derive(Default)]
struct Waiting {
    count: usize,
    /// When the first of them came to an empty queue.
    since: Option<Instant>,
}

/// Held for as long as a call uses the pool.
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    _outside: Option<OwnedSemaphorePermit>,
}

impl Admission {
    pub(super) fn new(connections: usize) -> Self {
        let all = || Arc::new(Semaphore::new(connections.max(1)));
        Self { outside: all(), places: all(), waiting: Mutex::default() }
    }

    /// Returns a place for a call from outside. Dropped while it waits, it leaves nothing behind.
    ///
    /// # Errors
    /// When `most` of them wait already, or it waits for too long beside others that do.
    pub(super) async fn outside(&self, most: usize) -> Result<Place, StoreError> {
        let outside = if let Ok(outside) = self.outside.clone().try_acquire_owned() {
            outside
        } else {
            let waits = Waits::begin(&self.waiting, most).ok_or(FULL)?;
            let outside = self.outside.clone().acquire_owned();
            let outside = if waits.in_burst { Ok(outside.await) } else { timeout(SHORT, outside).await };
            outside.map_err(|_| FULL)?.map_err(|_| ENDED)?
        };
        Ok(Place { _outside: Some(outside), ..self.own().await? })
    }

    /// Returns a place for a call of which there are only so many: one for each handler, worker or operator.
    pub(super) async fn own(&self) -> Result<Place, StoreError> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| ENDED)?;
        Ok(Place { _place: place, _outside: None })
    }

    pub(super) fn waiting(&self) -> usize {
        lock(&self.waiting).count
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counted as waiting until it is dropped.
struct Waits<'a> {
    waiting: &'a Mutex<Waiting>,
    in_burst: bool,
}

impl<'a> Waits<'a> {
    fn begin(waiting: &'a Mutex<Waiting>, most: usize) -> Option<Self> {
        let mut all = lock(waiting);
        if all.count >= most {
            return None;
        }
        all.count += 1;
        let since = *all.since.get_or_insert_with(Instant::now);
        Some(Self { waiting, in_burst: since.elapsed() < BURST })
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let mut all = lock(self.waiting);
        all.count -= 1;
        if all.count == 0 {
            all.since = None;
        }
    }
}

//! How many calls use the pool at once, and how many wait until they may.

use crate::error::StoreError;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
    /// Calls at the first semaphore.
    waiting: AtomicUsize,
}

/// Held for as long as a call uses the pool.
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    _outside: Option<OwnedSemaphorePermit>,
}

impl Admission {
    pub(super) fn new(connections: usize) -> Self {
        let all = || Arc::new(Semaphore::new(connections.max(1)));
        Self { outside: all(), places: all(), waiting: AtomicUsize::new(0) }
    }

    /// Returns a place for a call from outside. Dropped while it waits, it leaves nothing behind.
    ///
    /// # Errors
    /// When `most` of them wait already.
    pub(super) async fn outside(&self, most: usize) -> Result<Place, StoreError> {
        let outside = if let Ok(outside) = self.outside.clone().try_acquire_owned() {
            outside
        } else {
            let _waits = Waits::begin(&self.waiting, most).ok_or(FULL)?;
            self.outside.clone().acquire_owned().await.map_err(|_| ENDED)?
        };
        Ok(Place { _outside: Some(outside), ..self.own().await? })
    }

    /// Returns a place for a call of which there are only so many: one for each handler, worker or operator.
    pub(super) async fn own(&self) -> Result<Place, StoreError> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| ENDED)?;
        Ok(Place { _place: place, _outside: None })
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }
}

/// Counted as waiting until it is dropped.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn begin(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let counted = waiting.fetch_update(Relaxed, Relaxed, |waiting| (waiting < most).then_some(waiting + 1));
        // not `then_some`: one that is made and dropped would be taken off
        counted.is_ok().then(|| Self(waiting))
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

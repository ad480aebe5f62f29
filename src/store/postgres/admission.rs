//! How many calls use the pool at once, and how many wait until they may.

use crate::error::StoreError;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Refused at once: nothing was sent.
const FULL: StoreError = StoreError::new("too many calls wait for a connection");
const ENDED: StoreError = StoreError::new("the runtime is going down");

/// A place for each connection of the pool, so that a call that has one waits for no other call of the store.
///
/// Requests pass two semaphores of that size, outcomes of work that was done pass the second one alone. So an outcome waits behind
/// no more requests than there are connections, however many wait, and no place is kept free for it.
pub(super) struct Admission {
    requests: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// Requests at the first semaphore.
    waiting: AtomicUsize,
}

/// Held for as long as a call uses the pool.
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    _request: Option<OwnedSemaphorePermit>,
}

impl Admission {
    pub(super) fn new(connections: usize) -> Self {
        let all = || Arc::new(Semaphore::new(connections.max(1)));
        Self { requests: all(), places: all(), waiting: AtomicUsize::new(0) }
    }

    /// Returns a place for a request. Dropped while it waits, it leaves nothing behind.
    ///
    /// # Errors
    /// When `most` requests wait already.
    pub(super) async fn request(&self, most: usize) -> Result<Place, StoreError> {
        let request = match self.requests.clone().try_acquire_owned() {
            Ok(request) => request,
            Err(_) => {
                let _waits = Waits::begin(&self.waiting, most).ok_or(FULL)?;
                self.requests.clone().acquire_owned().await.map_err(|_| ENDED)?
            }
        };
        Ok(Place { _request: Some(request), ..self.outcome().await? })
    }

    /// Returns a place for the outcome of work that was done. Never refused: there are as many as there was work.
    pub(super) async fn outcome(&self) -> Result<Place, StoreError> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| ENDED)?;
        Ok(Place { _place: place, _request: None })
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

//! When expired records are removed: behind the requests, and at least as fast as new ones are completed.

use super::{IdempotencyStore, ledger::within};
use crate::token::StoreId;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    runtime::Handle,
    task::yield_now,
    time::{Instant, sleep},
};

/// How many records one call of the store removes, at most.
const BATCH: usize = 500;
/// A sweep begins after this many completions: one batch removes twice as many.
const COMPLETIONS: u32 = 250;
/// A sweep begins at least this often while requests come, and up to `SPREAD` later.
const SELDOM: Duration = Duration::from_millis(7_500);
const SPREAD: Duration = Duration::from_millis(2_500);
/// The first sweep of a process begins this long after its first run, and up to twice as long: processes that were started together
/// do not sweep together, and one that lives for a second does its part.
const FIRST: Duration = Duration::from_millis(250);
/// How many first sweeps of this process are on their way at once, at most: a store may be made for each request too.
const FIRSTS: usize = 64;
/// How many stores of this process have a schedule. Beyond it the oldest one is forgotten.
const STORES: usize = 64;

/// The sweeps of one store in this process: shared by all its layers, since a layer may be made for each request.
pub(super) struct Sweeps {
    created: Instant,
    completions: AtomicU32,
    /// In milliseconds since `created`. Zero at first: a process may not live for long.
    due: AtomicU64,
    running: AtomicBool,
}

static FIRSTS_RUNNING: AtomicUsize = AtomicUsize::new(0);
static SCHEDULES: Mutex<Vec<(StoreId, Arc<Sweeps>)>> = Mutex::new(Vec::new());

impl Sweeps {
    pub(super) fn of(store: StoreId) -> Arc<Self> {
        let mut all = SCHEDULES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = all.iter().find(|(id, _)| *id == store) {
            return found.clone();
        }
        if all.len() >= STORES {
            all.remove(0);
        }
        let sweeps = Arc::new(Self {
            created: Instant::now(),
            completions: AtomicU32::new(0),
            due: AtomicU64::new(0),
            running: AtomicBool::new(false),
        });
        all.push((store, sweeps.clone()));
        sweeps
    }

    /// Counts a run, and begins to sweep in a task of its own if it is time. Neither the caller nor a shutdown waits for it.
    pub(super) fn after_run(self: &Arc<Self>, store: &Arc<dyn IdempotencyStore>, hold: Duration) {
        let completions = self.completions.fetch_add(1, Relaxed).saturating_add(1);
        let is_due = completions >= COMPLETIONS || self.millis() >= self.due.load(Relaxed);
        if is_due
            && let Ok(runtime) = Handle::try_current()
            && !self.running.swap(true, Relaxed)
        {
            let Some(running) = Running::begin(self.clone()) else { return };
            let store = store.clone();
            runtime.spawn(async move { running.sweep(&*store, hold).await });
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.created.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// One sweep at a time. Where its runtime goes away in the middle, the next request begins another.
struct Running {
    sweeps: Arc<Sweeps>,
    is_first: bool,
}

impl Running {
    /// `None`: so many other stores are at their first sweep that this one waits for its next.
    fn begin(sweeps: Arc<Sweeps>) -> Option<Self> {
        let is_first = sweeps.due.load(Relaxed) == 0;
        let fits = !is_first || FIRSTS_RUNNING.fetch_add(1, Relaxed) < FIRSTS;
        let this = Self { sweeps, is_first };
        fits.then_some(this)
    }

    /// Goes on while batches come back full.
    async fn sweep(self, store: &dyn IdempotencyStore, hold: Duration) {
        if self.is_first {
            sleep(FIRST + random(FIRST)).await;
        }
        loop {
            self.sweeps.completions.store(0, Relaxed);
            if !matches!(within(hold, store.sweep(BATCH)).await, Ok(swept) if swept >= BATCH) {
                return;
            }
            // a store in memory never waits by itself
            yield_now().await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let next = SELDOM + random(SPREAD);
        let next = u64::try_from(next.as_millis()).unwrap_or(u64::MAX);
        self.sweeps.due.store(self.sweeps.millis().saturating_add(next), Relaxed);
        self.sweeps.running.store(false, Relaxed);
        if self.is_first {
            FIRSTS_RUNNING.fetch_sub(1, Relaxed);
        }
    }
}

fn random(most: Duration) -> Duration {
    most.mul_f64(fastrand::f64())
}

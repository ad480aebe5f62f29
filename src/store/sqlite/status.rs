use super::job::BoxJob;
use crate::registry::{Entry, Value};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::mpsc::WeakSender, time::Instant};

/// What the registry shows of a store.
pub(super) struct Status {
    pub(super) name: Arc<str>,
    jobs: WeakSender<BoxJob>,
    start: Instant,
    /// When the writer began what it is at, in milliseconds since `start` and one more; 0: it is idle.
    busy: AtomicU64,
    commits: AtomicU64,
    done: AtomicU64,
}

impl Status {
    pub(super) fn new(name: Arc<str>, jobs: WeakSender<BoxJob>) -> Self {
        let zero = || AtomicU64::new(0);
        Self { name, jobs, start: Instant::now(), busy: zero(), commits: zero(), done: zero() }
    }

    pub(super) fn busy(&self) {
        self.busy.store(millis(self.start.elapsed()) + 1, Relaxed);
    }

    pub(super) fn idle(&self) {
        self.busy.store(0, Relaxed);
    }

    pub(super) fn committed(&self, jobs: usize) {
        self.commits.fetch_add(1, Relaxed);
        self.done.fetch_add(jobs as u64, Relaxed);
    }
}

impl Entry for Status {
    fn kind(&self) -> &'static str {
        "store"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn state(&self) -> Vec<(&'static str, Value)> {
        let waiting = self.jobs.upgrade().map_or(0, |jobs| jobs.max_capacity() - jobs.capacity());
        let busy = match self.busy.load(Relaxed) {
            0 => 0,
            since => (millis(self.start.elapsed()) + 1).saturating_sub(since),
        };
        vec![
            ("waiting", (waiting as u64).into()),
            ("writer_busy_ms", busy.into()),
            ("commits", self.commits.load(Relaxed).into()),
            ("jobs", self.done.load(Relaxed).into()),
        ]
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX - 1)
}

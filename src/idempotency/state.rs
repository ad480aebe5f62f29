use crate::{
    registry::{Entry, Value},
    telemetry::{gauge, names},
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use tokio_util::task::TaskTracker;

/// What all services of one layer share, whatever their settings: name, detached tasks, how many handlers run.
#[derive(Debug)]
pub(super) struct State {
    pub(super) name: Arc<str>,
    pub(super) tasks: TaskTracker,
    running: AtomicU32,
}

/// A handler runs for as long as this is there.
pub(super) struct Running<'a>(&'a State);

impl State {
    /// Listed in the registry of the process.
    pub(super) fn new(name: Arc<str>) -> Arc<Self> {
        let this = Arc::new(Self { name, tasks: TaskTracker::new(), running: AtomicU32::new(0) });
        crate::registry().add(&this);
        this
    }

    pub(super) fn run(&self) -> Running<'_> {
        self.show(self.running.fetch_add(1, Ordering::Relaxed) + 1);
        Running(self)
    }

    fn show(&self, running: u32) {
        gauge(names::IDEMPOTENCY_RUNNING, &self.name, ("state", "running"), f64::from(running));
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.show(self.0.running.fetch_sub(1, Ordering::Relaxed) - 1);
    }
}

impl Entry for State {
    fn kind(&self) -> &'static str {
        "idempotency"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn state(&self) -> Vec<(&'static str, Value)> {
        let running = u64::from(self.running.load(Ordering::Relaxed));
        vec![("running", running.into()), ("tasks", (self.tasks.len() as u64).into())]
    }
}

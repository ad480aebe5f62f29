use super::{
    given_up::GivenUp,
    refusal::{Refusal, Said},
    runs::Runs,
    tasks::Tasks,
};
use crate::{
    registry::{Entry, Value},
    telemetry::{count, gauge, names},
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// What keyed requests come to, in metrics: each to one of them.
pub(super) mod result;

/// What all services of one layer share, whatever their settings: name, detached tasks, how many handlers run.
pub(super) struct State {
    pub(super) name: Arc<str>,
    pub(super) tasks: Tasks,
    pub(super) runs: Runs,
    pub(super) given_up: Arc<GivenUp>,
    running: AtomicU32,
}

/// A handler runs for as long as this is there.
pub(super) struct Running<'a>(&'a State);

impl State {
    /// Listed in the registry of the process.
    pub(super) fn new(name: Arc<str>) -> Arc<Self> {
        Self::listed(name, Tasks::default(), Runs::default(), Arc::default())
    }

    /// Creates another name for the same layer: tasks that are detached under one name are waited for under each.
    pub(super) fn renamed(&self, name: Arc<str>) -> Arc<Self> {
        Self::listed(name, self.tasks.of_another_name(), self.runs.of_another_name(), self.given_up.clone())
    }

    fn listed(name: Arc<str>, tasks: Tasks, runs: Runs, given_up: Arc<GivenUp>) -> Arc<Self> {
        let this = Arc::new(Self { name, tasks, runs, given_up, running: AtomicU32::new(0) });
        crate::registry().add(&this);
        this
    }

    /// A keyed request came to this: one of [`result`].
    pub(super) fn count(&self, result: &'static str) {
        count(names::IDEMPOTENCY_REQUESTS, &self.name, ("result", result));
    }

    /// A keyed request came to `refusal`.
    pub(super) fn count_refusal(&self, refusal: Refusal) {
        self.count(refusal.result());
        count(names::IDEMPOTENCY_REFUSALS, &self.name, ("reason", refusal.as_str()));
    }

    /// A keyed request is answered without its handler.
    pub(super) fn count_said(&self, said: &Said) {
        match said {
            Said::Again(_) => self.count(result::REPLAY),
            Said::No(refusal) => self.count_refusal(*refusal),
        }
    }

    /// A keyed request runs without a claim.
    pub(super) fn count_failed_open(&self) {
        self.count(result::STORE_ERROR);
        count(names::IDEMPOTENCY_FAILED_OPEN, &self.name, ("reason", "store_down"));
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
        let (waiting, tasks) = (self.runs.waiting() as u64, self.tasks.len() as u64);
        vec![("running", running.into()), ("waiting", waiting.into()), ("tasks", tasks.into())]
    }
}

use crate::sync::unharmed;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// Who waits for which queue, in this process.
#[derive(Default)]
pub(super) struct Wakes(Mutex<HashMap<Box<str>, Arc<Notify>>>);

impl Wakes {
    fn all(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn of(&self, queue: &str) -> Arc<Notify> {
        let mut all = self.all();
        if let Some(notify) = all.get(queue) {
            return notify.clone();
        }
        all.entry(queue.into()).or_default().clone()
    }

    /// Those who wait for this queue. Nobody is written down for a name that others have sent.
    pub(super) fn wake(&self, queue: &str) {
        // wakers run without the lock: they may wait for a queue again
        let notify = self.all().get(queue).cloned();
        if let Some(notify) = notify {
            unharmed(|| notify.notify_waiters());
        }
    }

    pub(super) fn wake_all(&self) {
        let all: Vec<_> = self.all().values().cloned().collect();
        for notify in all {
            unharmed(|| notify.notify_waiters());
        }
    }
}

#[cfg(test)]
mod tests;

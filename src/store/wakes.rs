use crate::sync::unharmed;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, futures::Notified};

#[cfg(all(test, feature = "queue"))]
mod tests;

/// A map of fewer names is not worth shrinking.
const SMALL: usize = 64;

/// The tasks of this process that wait for a queue, by the queue's name. A name is here only for as long as somebody waits for it:
/// there may be a queue for each tenant.
#[derive(Default)]
pub(super) struct Wakes(Mutex<HashMap<Box<str>, Waited>>);

struct Waited {
    notify: Arc<Notify>,
    waiters: usize,
}

impl Wakes {
    fn all(&self) -> MutexGuard<'_, HashMap<Box<str>, Waited>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts as waiting until it is dropped.
    #[cfg_attr(not(feature = "queue"), expect(dead_code, reason = "only queues are waited for"))]
    pub(super) fn waiter<'a>(&'a self, queue: &'a str) -> Waiter<'a> {
        let mut all = self.all();
        let notify = if let Some(waited) = all.get_mut(queue) {
            waited.waiters += 1;
            waited.notify.clone()
        } else {
            let notify = Arc::<Notify>::default();
            all.insert(queue.into(), Waited { notify: notify.clone(), waiters: 1 });
            notify
        };
        Waiter { wakes: self, queue, notify }
    }

    /// Wakes the tasks that wait for this queue. Whoever begins to wait later looks into the store first, so what is to be found
    /// there has to be committed before this is called.
    pub(super) fn wake(&self, queue: &str) {
        let notify = self.all().get(queue).map(|waited| waited.notify.clone());
        // without the lock: a waker is not ours
        if let Some(notify) = notify {
            unharmed(|| notify.notify_waiters());
        }
    }

    #[cfg(feature = "postgres")]
    #[cfg_attr(not(feature = "queue"), expect(dead_code, reason = "only queues are waited for"))]
    pub(super) fn wake_all(&self) {
        let all: Vec<_> = self.all().values().map(|waited| waited.notify.clone()).collect();
        for notify in all {
            unharmed(|| notify.notify_waiters());
        }
    }
}

/// A task that waits for a queue.
pub(super) struct Waiter<'a> {
    wakes: &'a Wakes,
    queue: &'a str,
    notify: Arc<Notify>,
}

#[cfg_attr(not(feature = "queue"), expect(dead_code, reason = "only queues are waited for"))]
impl Waiter<'_> {
    /// Is told of every wake-up from now on, polled or not.
    pub(super) fn notified(&self) -> Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut all = self.wakes.all();
        // under the lock under which the next one would begin to wait: either that one finds the name, or it adds it again
        if let Some(waited) = all.get_mut(self.queue) {
            waited.waiters -= 1;
            if waited.waiters == 0 {
                all.remove(self.queue);
            }
        }
        if all.capacity() > SMALL.max(all.len() * 4) {
            let room = all.len() * 2;
            all.shrink_to(room);
        }
    }
}

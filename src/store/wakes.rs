use crate::{panic::unharmed, sync::Lock};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::{Notify, futures::Notified};

#[cfg(all(test, feature = "queue"))]
mod tests;

/// A map of fewer names is not worth shrinking.
const SMALL: usize = 64;

/// The tasks of this process that wait for a queue, by the queue's name. A name is listed only while a task waits for it: there
/// may be a queue for each tenant.
#[derive(Default)]
pub(super) struct Wakes(Lock<HashMap<Box<str>, Waited>>);

struct Waited {
    notify: Arc<Notify>,
    waiters: usize,
}

impl Wakes {
    /// Counts as waiting until it is dropped.
    #[cfg_attr(not(feature = "queue"), expect(dead_code, reason = "only queues are waited for"))]
    pub(super) fn waiter<'a>(&'a self, queue: &'a str) -> Waiter<'a> {
        let notify = self.0.with(|all| {
            if let Some(waited) = all.get_mut(queue) {
                waited.waiters += 1;
                return waited.notify.clone();
            }
            let notify = Arc::<Notify>::default();
            all.insert(queue.into(), Waited { notify: notify.clone(), waiters: 1 });
            notify
        });
        Waiter { wakes: self, queue, notify }
    }

    /// Wakes the tasks that wait for this queue. A task that begins to wait later looks into the store first, so messages have to be
    /// committed before this is called.
    pub(super) fn wake(&self, queue: &str) {
        let notify = self.0.with(|all| all.get(queue).map(|waited| waited.notify.clone()));
        if let Some(notify) = notify {
            unharmed(|| notify.notify_waiters());
        }
    }

    #[cfg(feature = "postgres")]
    #[cfg_attr(not(feature = "queue"), expect(dead_code, reason = "only queues are waited for"))]
    pub(super) fn wake_all(&self) {
        let all: Vec<_> = self.0.with(|all| all.values().map(|waited| waited.notify.clone()).collect());
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
    /// Returns a future that every later wake-up completes, polled or not.
    pub(super) fn notified(&self) -> Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.wakes.0.with(|all| {
            // under the lock under which the next one would begin to wait: either that one finds the name, or it adds it again
            if let Some(waited) = all.get_mut(self.queue) {
                waited.waiters -= 1;
                if waited.waiters == 0 {
                    all.remove(self.queue);
                }
            }
            if all.capacity() > SMALL.max(all.len() * 4) {
                all.shrink_to(all.len() * 2);
            }
        });
    }
}

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::Notify;

/// Detached tasks that can be waited for. Clones are the same tasks.
#[derive(Debug, Clone, Default)]
pub(super) struct Tasks(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    running: AtomicUsize,
    none_left: Notify,
}

/// Counts for as long as its task is there: to its end, a panic, or the end of the runtime.
struct Running(Arc<Inner>);

impl Tasks {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.running.fetch_add(1, Ordering::Relaxed);
        let running = Running(self.0.clone());
        tokio::spawn(async move {
            task.await;
            drop(running);
        });
    }

    pub(super) fn len(&self) -> usize {
        self.0.running.load(Ordering::Relaxed)
    }

    /// Until none runs: at once where none does.
    pub(super) async fn wait(&self) {
        loop {
            // asked for before the look, so that an end in between is not missed
            let none_left = self.0.none_left.notified();
            // acquires what the last of them released
            if self.0.running.load(Ordering::Acquire) == 0 {
                return;
            }
            none_left.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::Release) == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}

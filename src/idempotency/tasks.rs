use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::Notify;

/// Detached tasks that can be waited for: those of one layer, together with those of its clones of another name.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    all: Arc<All>,
    /// Of this name.
    own: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct All {
    running: AtomicUsize,
    none_left: Notify,
}

/// Counts for as long as its task is there: to its end, a panic, or the end of the runtime.
struct Running {
    all: Arc<All>,
    own: Arc<AtomicUsize>,
}

impl Tasks {
    /// Returns those of another name, which are waited for together with these.
    pub(super) fn of_another_name(&self) -> Self {
        Self { all: self.all.clone(), own: Arc::default() }
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.all.running.fetch_add(1, Ordering::Relaxed);
        self.own.fetch_add(1, Ordering::Relaxed);
        let running = Running { all: self.all.clone(), own: self.own.clone() };
        tokio::spawn(async move {
            task.await;
            drop(running);
        });
    }

    /// How many run of this name.
    pub(super) fn len(&self) -> usize {
        self.own.load(Ordering::Relaxed)
    }

    /// Until none runs, of whichever name: at once where none does.
    pub(super) async fn wait(&self) {
        loop {
            // asked for before the look, so that an end in between is not missed
            let none_left = self.all.none_left.notified();
            // acquires what the last of them released
            if self.all.running.load(Ordering::Acquire) == 0 {
                return;
            }
            none_left.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.own.fetch_sub(1, Ordering::Relaxed);
        if self.all.running.fetch_sub(1, Ordering::Release) == 1 {
            self.all.none_left.notify_waiters();
        }
    }
}

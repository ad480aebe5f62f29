use super::{Fence, StoreKey, Token};
use crate::sync::Lock;
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::sync::watch;

/// Which keys are at work in this process under one layer, and how many requests wait for one of them.
#[derive(Default)]
pub(super) struct Runs {
    /// Those of its other names too.
    keys: Arc<Lock<HashMap<StoreKey, Run>>>,
    waiting: AtomicUsize,
}

struct Run {
    token: Token,
    /// Dropped with it, which wakes those who wait. Made by the first of them.
    end: Option<watch::Sender<()>>,
}

/// Counts as waiting.
pub(super) struct Waits<'a>(&'a Runs);

/// A table of fewer places is not worth making smaller.
const SMALL: usize = 256;

impl Runs {
    /// The same keys; those who wait are counted by themselves.
    pub(super) fn of_another_name(&self) -> Self {
        Self { keys: self.keys.clone(), waiting: AtomicUsize::new(0) }
    }

    /// This token's from now on. Who waited for the one before looks again.
    pub(super) fn enter(&self, fence: Fence) {
        let before = self.keys.with(|keys| {
            let is_new = keys.get(&fence.key).is_none_or(|run| run.token != fence.token);
            if is_new { keys.insert(fence.key, Run { token: fence.token, end: None }) } else { None }
        });
        drop(before);
    }

    /// This token's from now on, if nobody is at work on the key.
    pub(super) fn try_enter(&self, fence: Fence) -> bool {
        self.keys.with(|keys| match keys.entry(fence.key) {
            Entry::Occupied(run) => run.get().token == fence.token,
            Entry::Vacant(free) => {
                free.insert(Run { token: fence.token, end: None });
                true
            }
        })
    }

    /// Wakes those who wait for it, if it is still this token's.
    pub(super) fn leave(&self, fence: Fence) {
        let run = self.keys.with(|keys| {
            let is_there = keys.get(&fence.key).is_some_and(|run| run.token == fence.token);
            let run = if is_there { keys.remove(&fence.key) } else { None };
            if keys.capacity() > SMALL && keys.len() < keys.capacity() / 8 {
                keys.shrink_to(keys.len() * 2);
            }
            run
        });
        // wakes the tasks that wait for it
        drop(run);
    }

    /// Its end, if the key is at work here: `changed` then fails.
    pub(super) fn end(&self, key: StoreKey) -> Option<watch::Receiver<()>> {
        self.keys.with(|keys| Some(keys.get_mut(&key)?.end.get_or_insert_with(|| watch::channel(()).0).subscribe()))
    }

    /// One more that waits, if that is not too many.
    pub(super) fn wait(&self, most: usize) -> Option<Waits<'_>> {
        self.waiting.fetch_update(Relaxed, Relaxed, |n| (n < most).then_some(n + 1)).ok().map(|_| Waits(self))
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

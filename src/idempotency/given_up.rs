//! Claims whose handler never ran and never will, or that a handler gave back: released until the store has answered once. From
//! then on the store lets no begin of that token claim the key, however late it comes.

use super::{Fence, Token, layer::Shared, ledger::within, pause::Pause};
use crate::error::StoreError;
use std::{
    collections::{HashSet, VecDeque},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// As many as are remembered; one more lapses like the claim of a process that died.
const MOST: usize = 10_000;

/// One task gives all of them back: a store that comes back is not met by one from each request that it failed.
#[derive(Default)]
pub(super) struct GivenUp {
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    /// The one that was tried longest ago comes first.
    left: VecDeque<Fence>,
    tokens: HashSet<Token>,
    is_at_work: bool,
}

/// Where its runtime goes away in the middle, the next task begins anew.
struct AtWork<'a>(&'a GivenUp);

impl GivenUp {
    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the claim of this token was given up, and the store has not answered yet: its handler never ran.
    pub(super) fn has(&self, token: Token) -> bool {
        self.list().tokens.contains(&token)
    }

    /// Gives `fence` back until the store has answered.
    pub(super) fn add(&self, shared: &Arc<Shared>, fence: Fence) {
        let mut list = self.list();
        if list.tokens.len() >= MOST || !list.tokens.insert(fence.token) {
            return;
        }
        list.left.push_back(fence);
        let begins = !mem::replace(&mut list.is_at_work, true);
        drop(list);
        if begins {
            let task = shared.clone();
            shared.state.tasks.spawn(async move { task.state.given_up.give_back(&task).await });
        }
    }

    async fn give_back(&self, shared: &Shared) {
        let at_work = AtWork(self);
        let mut pause = Pause::default();
        while let Some(fence) = self.next() {
            let released = within(shared.config.hold, shared.store.release(fence)).await;
            // one that cannot be read is no claim of ours, and never will be
            let is_over = released.as_ref().map_or_else(StoreError::is_unreadable, |_| true);
            if is_over {
                self.is_back(fence);
                pause = Pause::default();
            } else {
                pause.wait().await;
                // behind the others: what is wrong with one need not be so with all
                self.later(fence);
            }
        }
        // `next` has said so already, and another may have begun since
        mem::forget(at_work);
    }

    /// The one that comes first. `None`: there is none, and from here on nobody is at work.
    fn next(&self) -> Option<Fence> {
        let mut list = self.list();
        let next = list.left.front().copied();
        list.is_at_work = next.is_some();
        if next.is_none() {
            // after an outage the tables do not stay large for the life of the process
            list.left = VecDeque::new();
            list.tokens = HashSet::new();
        }
        next
    }

    fn is_back(&self, fence: Fence) {
        let mut list = self.list();
        list.left.pop_front();
        list.tokens.remove(&fence.token);
    }

    fn later(&self, fence: Fence) {
        let mut list = self.list();
        list.left.pop_front();
        list.left.push_back(fence);
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.list().is_at_work = false;
    }
}

use super::Entry;
use std::{any::TypeId, collections::HashMap, sync::Weak};

/// Some of a registry's entries, in no order.
#[derive(Default)]
pub(super) struct Shard {
    slots: Vec<Slot>,
    /// The place of each entry in `slots`. An address is not used again as long as the slot is there, since it keeps the memory.
    by_address: HashMap<usize, usize>,
    /// The slot that is looked at next.
    hand: usize,
}

pub(super) struct Slot {
    /// How many entries of the registry were added before.
    pub(super) number: u64,
    pub(super) of: TypeId,
    pub(super) entry: Weak<dyn Entry>,
}

impl Slot {
    pub(super) fn address(&self) -> usize {
        self.entry.as_ptr().cast::<()>().addr()
    }
}

/// A sweep ends at the second live entry, and takes out at most so many dropped ones.
const LIVE: usize = 2;
const DROPPED: usize = 32;
/// Less room than this is not given back.
const KEPT: usize = 64;

impl Shard {
    /// Adds an entry if it is not there yet.
    pub(super) fn add(&mut self, slot: Slot) {
        self.by_address.entry(slot.address()).or_insert_with(|| {
            self.slots.push(slot);
            self.slots.len() - 1
        });
    }

    /// Takes out some entries that were dropped. The caller frees their memory when the lock is released.
    pub(super) fn sweep(&mut self) -> Vec<Slot> {
        let (mut live, mut dropped) = (0, Vec::new());
        while live < LIVE && dropped.len() < DROPPED && !self.slots.is_empty() {
            self.hand %= self.slots.len();
            if self.slots[self.hand].entry.strong_count() > 0 {
                self.hand += 1;
                live += 1;
            } else {
                dropped.push(self.remove(self.hand));
            }
        }
        self.shrink();
        dropped
    }

    /// Takes out all entries that were dropped.
    pub(super) fn sweep_all(&mut self) -> Vec<Slot> {
        let (mut at, mut dropped) = (0, Vec::new());
        while at < self.slots.len() {
            if self.slots[at].entry.strong_count() > 0 {
                at += 1;
            } else {
                dropped.push(self.remove(at));
            }
        }
        self.shrink();
        dropped
    }

    fn remove(&mut self, at: usize) -> Slot {
        let gone = self.slots.swap_remove(at);
        self.by_address.remove(&gone.address());
        if let Some(moved) = self.slots.get(at) {
            self.by_address.insert(moved.address(), at);
        }
        gone
    }

    fn shrink(&mut self) {
        if self.slots.capacity() > KEPT.max(4 * self.slots.len()) {
            self.slots.shrink_to(2 * self.slots.len());
            self.by_address.shrink_to(2 * self.slots.len());
        }
    }

    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }
}

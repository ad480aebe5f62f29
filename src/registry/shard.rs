use super::Entry;
use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

/// Some of a registry's entries, by their addresses. An address is not used again while the entry is listed: a [`Weak`] keeps the
/// memory, and nothing else of an entry that was dropped.
#[derive(Default)]
pub(super) struct Shard {
    entries: BTreeMap<usize, Slot>,
    /// The address at which the next sweep begins.
    hand: usize,
}

struct Slot {
    number: u64,
    entry: Weak<dyn Entry>,
}

/// A sweep ends at the second live entry, and takes out at most [`DROPPED`] others.
const LIVE: usize = 2;
const DROPPED: usize = 32;

impl Shard {
    /// Adds an entry if it is not there yet. `number`: its place in the order of all entries.
    pub(super) fn add(&mut self, number: u64, entry: Weak<dyn Entry>) {
        self.entries.entry(address(&entry)).or_insert(Slot { number, entry });
    }

    /// Takes out some of the entries that were dropped. Each is taken out once, so this is little work over time.
    pub(super) fn sweep(&mut self) {
        let (mut live, mut dropped, mut next) = (0, Vec::new(), 0);
        for (address, slot) in self.entries.range(self.hand..) {
            if slot.entry.strong_count() == 0 {
                dropped.push(*address);
            } else {
                live += 1;
            }
            if live == LIVE || dropped.len() == DROPPED {
                next = address + 1;
                break;
            }
        }
        self.hand = next;
        for address in dropped {
            self.entries.remove(&address);
        }
    }

    /// Takes out all entries that were dropped, and returns the others with their numbers.
    pub(super) fn live(&mut self) -> impl Iterator<Item = (u64, Arc<dyn Entry>)> {
        self.entries.retain(|_, slot| slot.entry.strong_count() > 0);
        self.entries.values().filter_map(|slot| Some((slot.number, slot.entry.upgrade()?)))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

pub(super) fn address(entry: &Weak<dyn Entry>) -> usize {
    entry.as_ptr().cast::<()>().addr()
}

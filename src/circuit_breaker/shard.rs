use super::Circuit;
use crate::classify::{Origin, OriginKey};
use hashbrown::HashTable;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Some of the circuits by key. Every circuit is in the table and in one of the two queues.
#[derive(Default)]
pub(super) struct Shard {
    by_key: HashTable<Arc<Listed>>,
    /// Circuits that were not needed when they were last looked at, and new ones.
    idle: VecDeque<Arc<Listed>>,
    /// Circuits that were needed when they were last looked at. They are kept apart so that the search for one that can go does
    /// not pass them again and again.
    needed: VecDeque<Arc<Listed>>,
}

/// A circuit and its key.
pub(super) struct Listed {
    key: OriginKey,
    hash: u64,
    circuit: Circuit,
    /// A call used it since it was last looked at.
    used: AtomicBool,
}

/// A circuit that was not used for this long may be evicted although it knows of failures, so that the memory cannot fill with
/// circuits that failed once.
const FORGET: Duration = Duration::from_secs(3600);

/// The circuits of each queue that are looked at when one is added: the queues are in order before the capacity is reached.
const SORTED_BY_ADD: usize = 2;

/// Up to this number, all circuits that were needed are looked at again for a new key; of more, only some.
const FEW: usize = 64;
const SOME: usize = 16;

/// The idle circuits that were used lately and are passed in the search for one that was not.
const SPARED: usize = 8;

impl Listed {
    pub(super) const fn new(key: OriginKey, hash: u64, circuit: Circuit) -> Self {
        Self { key, hash, circuit, used: AtomicBool::new(false) }
    }

    pub(super) const fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    fn is_needed(&self, now: Instant) -> bool {
        self.circuit.is_needed(FORGET, now)
    }
}

impl Shard {
    /// Returns the circuit of a key without marking it as used.
    #[inline]
    pub(super) fn find(&self, hash: u64, origin: &Origin<'_>) -> Option<&Listed> {
        let listed = self.by_key.find(hash, |listed| listed.hash == hash && listed.key.is(origin));
        listed.map(|listed| &**listed)
    }

    /// Returns the circuit of a key for a call.
    #[inline]
    pub(super) fn get(&self, hash: u64, origin: &Origin<'_>) -> Option<Circuit> {
        let listed = self.find(hash, origin)?;
        // all threads read it, so it is not written for nothing
        if !listed.used.load(Ordering::Relaxed) {
            listed.used.store(true, Ordering::Relaxed);
        }
        Some(listed.circuit.clone())
    }

    pub(super) fn circuits(&self) -> impl Iterator<Item = &Circuit> {
        self.by_key.iter().map(|listed| &listed.circuit)
    }

    /// Adds a circuit whose key is not there yet.
    pub(super) fn add(&mut self, new: &Arc<Listed>) {
        self.sort(SORTED_BY_ADD);
        self.by_key.insert_unique(new.hash, new.clone(), |listed| listed.hash);
        self.idle.push_back(new.clone());
    }

    /// Looks at the next circuits of both queues and puts each into the queue where it belongs.
    fn sort(&mut self, looks: usize) {
        let now = Instant::now();
        for _ in 0..looks.min(self.needed.len()) {
            self.needed.pop_front().into_iter().for_each(|listed| self.queue(listed, now));
        }
        for _ in 0..looks.min(self.idle.len()) {
            self.idle.pop_front().into_iter().for_each(|listed| self.queue(listed, now));
        }
    }

    fn queue(&mut self, listed: Arc<Listed>, now: Instant) {
        let queue = if listed.is_needed(now) { &mut self.needed } else { &mut self.idle };
        queue.push_back(listed);
    }

    /// Takes out an idle circuit that is not needed, if `looks` are enough to find one; circuits that were used since the last
    /// look are the second choice. The caller drops it when the lock is released.
    pub(super) fn evict_idle(&mut self, looks: &mut usize) -> Option<Arc<Listed>> {
        let now = Instant::now();
        let (mut found, mut second, mut spared) = (None, None, 0);
        for _ in 0..self.idle.len().min(*looks) {
            *looks -= 1;
            let Some(listed) = self.idle.pop_front() else { break };
            if listed.is_needed(now) {
                self.needed.push_back(listed);
            } else if !listed.used.swap(false, Ordering::Relaxed) {
                found = Some(listed);
                break;
            } else {
                if second.is_none() {
                    second = Some(listed);
                } else {
                    self.idle.push_back(listed);
                }
                spared += 1;
                if spared == SPARED {
                    break;
                }
            }
        }
        if found.is_some() {
            self.idle.extend(second.take());
        }
        found.or(second).inspect(|gone| self.remove(gone))
    }

    /// Takes out a circuit that was needed and is not any more, if it is one of the next.
    pub(super) fn evict_needed(&mut self) -> Option<Arc<Listed>> {
        let now = Instant::now();
        let looks = if self.needed.len() <= FEW { FEW } else { SOME };
        for _ in 0..self.needed.len().min(looks) {
            let listed = self.needed.pop_front()?;
            if !listed.is_needed(now) {
                self.remove(&listed);
                return Some(listed);
            }
            self.needed.push_back(listed);
        }
        None
    }

    fn remove(&mut self, gone: &Arc<Listed>) {
        if let Ok(entry) = self.by_key.find_entry(gone.hash, |listed| Arc::ptr_eq(listed, gone)) {
            entry.remove();
        }
    }
}

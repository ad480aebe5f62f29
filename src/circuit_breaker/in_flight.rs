//! Calls that have not ended, in the order in which they began: constant work to add, to take out, and to find the oldest.

use super::permit::SLOTS;

const NONE: u32 = u32::MAX;

/// Three lists through one slab: calls that still wait to cross `slow`, calls that crossed it, and probes that have the head of
/// their response. All are in the order in which the calls began: for the second that is the order in which they cross.
#[derive(Debug)]
pub(super) struct InFlight {
    slots: Vec<Slot>,
    waiting: Ends,
    crossed: Ends,
    answered: Ends,
    free: u32,
    len: u32,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    started: u64,
    taken: bool,
    /// The number of its sample, once it has crossed.
    sample: Option<u64>,
    /// How long the head of its response took.
    took: Option<u64>,
    before: u32,
    after: u32,
}

/// A call that was taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Removed {
    /// Its sample, if it had crossed.
    pub(super) sample: Option<u64>,
    /// How long the head took, if there was one.
    pub(super) took: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Waiting,
    Crossed,
    Answered,
}

#[derive(Debug, Clone, Copy)]
struct Ends {
    first: u32,
    last: u32,
}

const EMPTY: Ends = Ends { first: NONE, last: NONE };
/// More slots than this are given back when all calls are forgotten.
const KEPT: usize = 64;
/// The sample of a call that crossed, and whose place in the window is not known any more.
pub(super) const LOST: u64 = u64::MAX;

impl InFlight {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), waiting: EMPTY, crossed: EMPTY, answered: EMPTY, free: NONE, len: 0 }
    }

    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// `None`: four thousand million calls are in flight already.
    pub(super) fn insert(&mut self, started: u64) -> Option<u32> {
        let new = Slot { started, taken: true, sample: None, took: None, before: NONE, after: NONE };
        let slot = if self.free == NONE {
            let slot = u32::try_from(self.slots.len()).ok().filter(|slot| *slot < SLOTS)?;
            self.slots.push(new);
            slot
        } else {
            let slot = self.free;
            self.free = self.at(slot).after;
            *self.at(slot) = new;
            slot
        };
        self.append(slot, List::Waiting);
        self.len += 1;
        Some(slot)
    }

    /// Takes a call out. `None`: there is no such call.
    pub(super) fn remove(&mut self, slot: u32, started: u64) -> Option<Removed> {
        let held = self.slots.get(slot as usize).filter(|held| held.taken && held.started == started)?;
        let removed = Removed { sample: held.sample, took: held.took };
        self.unlink(slot);
        *self.at(slot) = Slot { taken: false, after: self.free, ..*self.at(slot) };
        self.free = slot;
        self.len -= 1;
        Some(removed)
    }

    /// The head of a call's response has arrived: it crosses no more, and stays here. Whether there is such a call.
    pub(super) fn answer(&mut self, slot: u32, started: u64, took: u64) -> bool {
        let known = self.slots.get(slot as usize).is_some_and(|held| held.taken && held.started == started);
        if known {
            self.unlink(slot);
            self.at(slot).took = Some(took);
            self.append(slot, List::Answered);
        }
        known
    }

    /// The oldest that has not crossed, and when it began.
    pub(super) fn first_waiting(&self) -> Option<(u32, u64)> {
        self.slots.get(self.waiting.first as usize).map(|slot| (self.waiting.first, slot.started))
    }

    /// It crossed, and was counted as `sample`.
    pub(super) fn cross(&mut self, slot: u32, sample: u64) {
        self.unlink(slot);
        self.at(slot).sample = Some(sample);
        self.append(slot, List::Crossed);
    }

    /// When the oldest call without a head began.
    pub(super) fn oldest(&self) -> Option<u64> {
        let first = if self.crossed.first == NONE { self.waiting.first } else { self.crossed.first };
        self.slots.get(first as usize).map(|slot| slot.started)
    }

    /// The oldest call with a head, and when it began.
    pub(super) fn oldest_answered(&self) -> Option<(u32, u64)> {
        self.slots.get(self.answered.first as usize).map(|slot| (self.answered.first, slot.started))
    }

    /// The window numbers its samples in another way now.
    pub(super) fn lose_samples(&mut self) {
        for sample in self.slots.iter_mut().filter_map(|slot| slot.sample.as_mut()) {
            *sample = LOST;
        }
    }

    pub(super) fn clear(&mut self) {
        let mut slots = std::mem::take(&mut self.slots);
        slots.clear();
        slots.shrink_to(KEPT);
        *self = Self { slots, ..Self::new() };
    }

    /// Behind all calls that began before it. That is the end of the list, except where heads arrive in another order than
    /// their probes began.
    fn append(&mut self, slot: u32, list: List) {
        let started = self.at(slot).started;
        let (mut before, mut after) = (self.ends(list).last, NONE);
        while before != NONE && self.at(before).started > started {
            (before, after) = (self.at(before).before, before);
        }
        *self.at(slot) = Slot { before, after, ..*self.at(slot) };
        match before {
            NONE => self.ends(list).first = slot,
            before => self.at(before).after = slot,
        }
        match after {
            NONE => self.ends(list).last = slot,
            after => self.at(after).before = slot,
        }
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { sample, took, before, after, .. } = *self.at(slot);
        let list = match (took, sample) {
            (Some(_), _) => List::Answered,
            (None, Some(_)) => List::Crossed,
            (None, None) => List::Waiting,
        };
        match before {
            NONE => self.ends(list).first = after,
            before => self.at(before).after = after,
        }
        match after {
            NONE => self.ends(list).last = before,
            after => self.at(after).before = before,
        }
    }

    fn ends(&mut self, list: List) -> &mut Ends {
        match list {
            List::Waiting => &mut self.waiting,
            List::Crossed => &mut self.crossed,
            List::Answered => &mut self.answered,
        }
    }

    fn at(&mut self, slot: u32) -> &mut Slot {
        &mut self.slots[slot as usize]
    }
}

//! Calls that have not ended, in the order in which they began: constant work to add, to take out, and to find the oldest.

const NONE: u32 = u32::MAX;

/// Two lists through one slab: those that still wait to cross `slow`, and those that crossed it. Calls cross in the order in
/// which they began, so both lists are in that order.
#[derive(Debug)]
pub(super) struct InFlight {
    slots: Vec<Slot>,
    waiting: Ends,
    crossed: Ends,
    free: u32,
    len: u32,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    started: u64,
    taken: bool,
    /// The number of its sample, once it has crossed.
    sample: Option<u64>,
    before: u32,
    after: u32,
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
const LOST: u64 = u64::MAX;

impl InFlight {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), waiting: EMPTY, crossed: EMPTY, free: NONE, len: 0 }
    }

    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// `None`: four thousand million calls are in flight already.
    pub(super) fn insert(&mut self, started: u64) -> Option<u32> {
        let new = Slot { started, taken: true, sample: None, before: NONE, after: NONE };
        let slot = if self.free == NONE {
            let slot = u32::try_from(self.slots.len()).ok().filter(|slot| *slot != NONE)?;
            self.slots.push(new);
            slot
        } else {
            let slot = self.free;
            self.free = self.at(slot).after;
            *self.at(slot) = new;
            slot
        };
        self.append(slot, false);
        self.len += 1;
        Some(slot)
    }

    /// Takes a call out, and gives back its sample if it had crossed. `None`: there is no such call.
    #[expect(clippy::option_option, reason = "unknown, known, and known to have crossed are three things")]
    pub(super) fn remove(&mut self, slot: u32, started: u64) -> Option<Option<u64>> {
        let sample = self.slots.get(slot as usize).filter(|held| held.taken && held.started == started)?.sample;
        self.unlink(slot);
        *self.at(slot) = Slot { taken: false, after: self.free, ..*self.at(slot) };
        self.free = slot;
        self.len -= 1;
        Some(sample)
    }

    /// The oldest that has not crossed, and when it began.
    pub(super) fn first_waiting(&self) -> Option<(u32, u64)> {
        self.slots.get(self.waiting.first as usize).map(|slot| (self.waiting.first, slot.started))
    }

    /// It crossed, and was counted as `sample`.
    pub(super) fn cross(&mut self, slot: u32, sample: u64) {
        self.unlink(slot);
        self.at(slot).sample = Some(sample);
        self.append(slot, true);
    }

    /// When the oldest of all began.
    pub(super) fn oldest(&self) -> Option<u64> {
        let first = if self.crossed.first == NONE { self.waiting.first } else { self.crossed.first };
        self.slots.get(first as usize).map(|slot| slot.started)
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

    fn append(&mut self, slot: u32, crossed: bool) {
        let last = self.ends(crossed).last;
        *self.at(slot) = Slot { before: last, after: NONE, ..*self.at(slot) };
        if last == NONE {
            self.ends(crossed).first = slot;
        } else {
            self.at(last).after = slot;
        }
        self.ends(crossed).last = slot;
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { sample, before, after, .. } = *self.at(slot);
        let crossed = sample.is_some();
        match before {
            NONE => self.ends(crossed).first = after,
            before => self.at(before).after = after,
        }
        match after {
            NONE => self.ends(crossed).last = before,
            after => self.at(after).before = before,
        }
    }

    fn ends(&mut self, crossed: bool) -> &mut Ends {
        if crossed { &mut self.crossed } else { &mut self.waiting }
    }

    fn at(&mut self, slot: u32) -> &mut Slot {
        &mut self.slots[slot as usize]
    }
}

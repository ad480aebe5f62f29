//! Who waits for a circuit, in the order in which they came, and whose turn it is. No lock, no timer.

use super::state::Room;
use crate::sync::WakeList;
use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    task::Waker,
};

/// They wait; with the end of an open period, or with a permit that comes back, the first ones are woken: it is their turn.
/// A turn ends when its owner calls, goes, or lets [`TURN`] pass, and then it is the next one's.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// `None`: its waker was called, and it has not come yet.
    waiting: BTreeMap<u64, Option<Waker>>,
    /// In the order in which they end.
    turns: VecDeque<Turn>,
    next: u64,
    /// Turns that their owners let pass since there was room. Once they are more than the permits, as many are given at once:
    /// twice as many each time, so that thousands who do not come (they are polled no more) are passed in a few steps.
    lapsed: usize,
}

#[derive(Debug)]
struct Turn {
    owner: u64,
    until: u64,
}

/// How long whoever was woken may take to call, in nanoseconds.
pub(super) const TURN: u64 = 100_000_000;

impl Line {
    /// A new place, behind all others.
    pub(super) fn join(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Gives turns to those for whom there is room: these are woken, after the lock.
    pub(super) fn arrange(&mut self, room: Room, now: u64) -> WakeList {
        let permits = match room {
            Room::All => {
                self.forget_turns();
                return self.call_all();
            }
            Room::Permits(0) => {
                self.forget_turns();
                return WakeList::default();
            }
            Room::Permits(permits) => permits as usize,
        };
        while self.turns.front().is_some_and(|turn| turn.until <= now) {
            self.turns.pop_front();
            self.lapsed += 1;
        }
        let mut woken = WakeList::default();
        while self.turns.len() < permits.max(self.lapsed) {
            let Some((owner, waker)) = self.waiting.pop_first() else { break };
            self.give_turn(owner, now);
            woken.extend(waker);
        }
        woken
    }

    /// Whether it is the turn of this one; behind [`arrange`](Self::arrange), which serves all who were there before.
    pub(super) fn takes_turn(&mut self, place: u64, room: Room, now: u64) -> bool {
        let Room::Permits(permits) = room else { return true };
        if self.turns.iter().any(|turn| turn.owner == place) {
            return true;
        }
        let free = permits > 0 && self.turns.len() < (permits as usize).max(self.lapsed);
        if free {
            self.give_turn(place, now);
        }
        free
    }

    /// Waits in its place. Gives the waker that it had left there before. A waker is not cloned here: its clone is foreign code.
    #[must_use = "a waker may own what has a place here: drop it after the lock"]
    pub(super) fn wait(&mut self, place: u64, waker: Waker) -> Option<Waker> {
        self.waiting.insert(place, Some(waker)).flatten()
    }

    /// Has called, or goes.
    #[must_use = "a waker may own what has a place here: drop it after the lock"]
    pub(super) fn leave(&mut self, place: u64) -> Option<Waker> {
        self.turns.retain(|turn| turn.owner != place);
        self.waiting.remove(&place).flatten()
    }

    /// All who wait, to be woken without a turn.
    pub(super) fn call_all(&mut self) -> WakeList {
        mem::take(&mut self.waiting).into_values().flatten().collect()
    }

    /// The first one that waits, to be woken without a turn. It keeps its place.
    pub(super) fn call_first(&mut self) -> WakeList {
        self.waiting.values_mut().next().and_then(Option::take).into_iter().collect()
    }

    pub(super) fn nobody_waits(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the next turn ends.
    pub(super) fn turn_ends(&self) -> Option<u64> {
        self.turns.front().map(|turn| turn.until)
    }

    fn give_turn(&mut self, owner: u64, now: u64) {
        self.turns.push_back(Turn { owner, until: now.saturating_add(TURN) });
    }

    fn forget_turns(&mut self) {
        self.turns.clear();
        self.lapsed = 0;
    }
}

#[cfg(test)]
mod tests;

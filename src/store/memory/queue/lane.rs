use super::{Moment, row::Row, shelf::RowId};
use crate::queue::{MessageId, NewMessage};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// A list of fewer entries is not worth shrinking.
const SMALL: usize = 64;

/// One queue: which rows are in which state, each list in the order in which it is asked for. Trees give back the memory of what
/// leaves them; the one list that does not is shrunk.
#[derive(Default)]
pub(super) struct Lane {
    /// Everything that has not ended, by when it can be claimed.
    pub(super) due: BTreeSet<(Instant, RowId)>,
    pub(super) dead: BTreeMap<MessageId, RowId>,
    /// By when it was done.
    pub(super) done: VecDeque<(Instant, RowId)>,
    known: BTreeMap<Arc<str>, Known>,
    windows: BTreeSet<(Instant, Arc<str>)>,
}

/// A dedupe key.
struct Known {
    by: MessageId,
    until: Instant,
}

impl Lane {
    /// Whether the queue can be forgotten: it has no message and knows no key.
    pub(super) fn is_empty(&self) -> bool {
        self.due.is_empty() && self.dead.is_empty() && self.done.is_empty() && self.known.is_empty()
    }

    /// The message that brought one of this one's keys, if that is still known.
    pub(super) fn duplicate_of(&self, message: &NewMessage, now: Instant) -> Option<MessageId> {
        let found = message.dedupe_keys().filter_map(|(key, _)| self.known.get(&*key));
        found.into_iter().find(|known| known.until > now).map(|known| known.by)
    }

    /// Returns the keys of the message, shared with the row that is to forget them if it is purged.
    pub(super) fn know(&mut self, message: &NewMessage, by: MessageId, now: Moment) -> Box<[Arc<str>]> {
        let mut keys = Vec::new();
        for (key, window) in message.dedupe_keys() {
            let (key, until) = (Arc::<str>::from(key), now.after(window));
            if let Some(before) = self.known.insert(key.clone(), Known { by, until }) {
                self.windows.remove(&(before.until, key.clone()));
            }
            self.windows.insert((until, key.clone()));
            keys.push(key);
        }
        keys.into()
    }

    /// Forgets those of the keys that belong to this message still: one whose window was over may have a new owner.
    pub(super) fn forget_keys(&mut self, keys: &[Arc<str>], of: MessageId) {
        for key in keys {
            if let Some(known) = self.known.get(key).filter(|known| known.by == of) {
                self.windows.remove(&(known.until, key.clone()));
                self.known.remove(key);
            }
        }
    }

    /// Forgets keys whose window is over.
    pub(super) fn forget(&mut self, now: Instant, most: usize) -> usize {
        let mut forgotten = 0;
        while forgotten < most && self.windows.first().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, key)) = self.windows.pop_first() {
                self.known.remove(&key);
                forgotten += 1;
            }
        }
        forgotten
    }

    /// The rows that have been done for longer than `keep`.
    pub(super) fn long_done(&mut self, now: Instant, keep: Duration, most: usize) -> Vec<RowId> {
        let over = |(at, _): &(Instant, RowId)| now.saturating_duration_since(*at) > keep;
        let many = self.done.iter().take(most).take_while(|done| over(done)).count();
        let rows = self.done.drain(..many).map(|(_, row)| row).collect();
        if self.done.capacity() > SMALL.max(self.done.len() * 4) {
            self.done.shrink_to(self.done.len() * 2);
        }
        rows
    }

    /// The first row that can be claimed by `now`.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<RowId> {
        let (at, _) = self.due.first()?;
        if *at > now {
            return None;
        }
        self.due.pop_first().map(|(_, row)| row)
    }

    /// Takes a row off the list of those that have not ended.
    pub(super) fn unlist(&mut self, row: &Row, id: RowId) {
        if let Some(due) = row.state.due() {
            self.due.remove(&(due, id));
        }
    }
}

use super::{row::Row, shelf::RowId};
use crate::queue::{MessageId, NewMessage};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// One queue: which rows are in which state, each list in the order in which it is asked for.
#[derive(Default)]
pub(super) struct Lane {
    /// Everything that has not ended, by when it can be claimed.
    pub(super) due: BTreeSet<(Instant, RowId)>,
    pub(super) dead: BTreeMap<MessageId, RowId>,
    /// By when it was done.
    pub(super) done: VecDeque<(Instant, RowId)>,
    known: HashMap<String, Known>,
    windows: BTreeSet<(Instant, String)>,
}

/// A dedupe key.
struct Known {
    by: MessageId,
    until: Instant,
}

impl Lane {
    /// Who brought one of these keys, if that is still known.
    pub(super) fn duplicate_of(&self, keys: &[String], now: Instant) -> Option<MessageId> {
        keys.iter().filter_map(|key| self.known.get(key)).find(|known| known.until > now).map(|known| known.by)
    }

    pub(super) fn know(&mut self, message: &NewMessage, by: MessageId, until: Instant) {
        for key in message.dedupe() {
            if let Some(before) = self.known.insert(key.clone(), Known { by, until }) {
                self.windows.remove(&(before.until, key.clone()));
            }
            self.windows.insert((until, key.clone()));
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
        self.done.drain(..many).map(|(_, row)| row).collect()
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

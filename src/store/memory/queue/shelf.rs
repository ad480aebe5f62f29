use super::{
    Moment,
    lane::Lane,
    row::{Row, State},
};
use crate::{
    queue::{
        Attempted, Claim, DeadLetter, Enqueued, Filter, Lease, LeaseLost, Message, MessageId, NewMessage, Reason,
        Settle, Stats,
    },
    token::Token,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

#[cfg(test)]
mod tests;

pub(super) type RowId = i64;

/// The rows of all queues, and one [`Lane`] for each queue that has a message or knows a key. All bytes in it are of the store's
/// own ([`own`](super::owned::own)), so that what is dropped under the lock runs no foreign code.
#[derive(Default)]
pub(super) struct Shelf {
    // a tree: the table of a map would keep the size of its peak, and be moved as a whole when it grows
    rows: BTreeMap<RowId, Row>,
    lanes: BTreeMap<Arc<str>, Lane>,
    last: RowId,
}

impl Shelf {
    pub(super) fn enqueue(&mut self, queue: &str, message: NewMessage, now: Moment) -> Enqueued {
        let name = self.name(queue);
        let lane = self.lanes.entry(name.clone()).or_default();
        if let Some(id) = lane.duplicate_of(&message, now.at) {
            return Enqueued::Duplicate(id);
        }
        let id = MessageId::new();
        let keys = lane.know(&message, id, now);
        self.last += 1;
        let row = self.last;
        let due = now.after(message.delay());
        lane.due.insert((due, row));
        let max_age = message.max_age();
        let expires = now.after(message.delay().saturating_add(max_age));
        let lease = Lease { id, row, attempt: 0, token: Token([0; 16]) };
        let message = Message::claimed(name, lease, 0, now.date, message);
        self.rows.insert(row, Row::new(message, due, max_age, expires, keys));
        Enqueued::New(id)
    }

    /// The name, shared by all rows of the queue.
    fn name(&self, queue: &str) -> Arc<str> {
        self.lanes.get_key_value(queue).map_or_else(|| queue.into(), |(name, _)| name.clone())
    }

    pub(super) fn claim(&mut self, queue: &str, claim: Claim, now: Moment) -> Vec<Message> {
        let mut claimed = Vec::new();
        let Some(lane) = self.lanes.get_mut(queue) else { return claimed };
        let until = now.after(claim.lease);
        while claimed.len() < claim.limit {
            let Some(id) = lane.pop_due(now.at) else { break };
            let Some(row) = self.rows.get_mut(&id) else { continue };
            let lapsed = matches!(row.state, State::Claimed { .. });
            if lapsed {
                row.note("crashed", "its lease lapsed", now);
            }
            let reason = if lapsed && row.message.attempt() >= claim.max_attempts {
                Some(Reason::Crashed)
            } else {
                (row.expires <= now.at).then_some(Reason::Expired)
            };
            if let Some(reason) = reason {
                row.state = State::Dead { reason, at: now.date };
                lane.dead.insert(row.message.id(), id);
            } else {
                claimed.push(row.claimed(until));
            }
        }
        // listed only now: a lease of no time at all would be due again at once
        lane.due.extend(claimed.iter().map(|message| (until, message.lease.row)));
        claimed
    }

    /// The row that this lease holds.
    fn held(&mut self, lease: Lease) -> Result<(&mut Row, &mut Lane), LeaseLost> {
        let row = self.rows.get_mut(&lease.row).ok_or(LeaseLost)?;
        if row.message.lease() != lease || !matches!(row.state, State::Claimed { .. }) {
            return Err(LeaseLost);
        }
        let lane = self.lanes.get_mut(row.message.queue()).ok_or(LeaseLost)?;
        Ok((row, lane))
    }

    pub(super) fn extend(&mut self, lease: Lease, until: Instant) -> Result<(), LeaseLost> {
        let (row, lane) = self.held(lease)?;
        lane.unlist(row, lease.row);
        row.state = State::Claimed { until };
        lane.due.insert((until, lease.row));
        Ok(())
    }

    pub(super) fn settle(&mut self, lease: Lease, settle: Settle, now: Moment) -> Result<(), LeaseLost> {
        let (row, lane) = self.held(lease)?;
        lane.unlist(row, lease.row);
        let stamped = |attempted: Attempted| Attempted {
            at: now.date,
            error: Attempted::shortened(attempted.error),
            ..attempted
        };
        let (not_sent, refused) = settle.raises();
        row.message.not_sent = row.message.not_sent.saturating_add(not_sent);
        row.message.refused = row.message.refused.saturating_add(refused);
        row.state = match settle {
            Settle::Done => {
                lane.done.push_back((now.at, lease.row));
                State::Done
            }
            // no wait outlasts the greatest age: then the next claim finds that it is over
            Settle::Retry { after, attempted } => {
                row.remember(stamped(attempted), false);
                State::Waiting { due: now.after(after).min(row.expires), parked: false }
            }
            Settle::Park { after, attempted } => {
                row.remember(stamped(attempted), true);
                row.message.lease.attempt -= 1;
                State::Waiting { due: now.after(after).min(row.expires), parked: true }
            }
            Settle::Release => {
                row.message.lease.attempt -= 1;
                State::Waiting { due: now.at, parked: false }
            }
            Settle::Dead { reason, attempted } => {
                row.remember(stamped(attempted), false);
                lane.dead.insert(lease.id, lease.row);
                State::Dead { reason, at: now.date }
            }
        };
        if let Some(due) = row.state.due() {
            lane.due.insert((due, lease.row));
        }
        Ok(())
    }

    pub(super) fn dead(
        &self,
        queue: &str,
        filter: &Filter,
        cursor: Option<MessageId>,
        limit: usize,
    ) -> Vec<DeadLetter> {
        let Some(lane) = self.lanes.get(queue) else { return Vec::new() };
        lane.dead
            .iter()
            .filter(|(id, _)| cursor.is_none_or(|cursor| **id > cursor))
            .filter_map(|(_, row)| self.rows.get(row)?.letter())
            .filter(|letter| filter.matches(letter))
            .take(limit)
            .collect()
    }

    pub(super) fn redrive(&mut self, queue: &str, id: MessageId, by: &str, now: Moment) -> bool {
        let Some(lane) = self.lanes.get_mut(queue) else { return false };
        let Some(row_id) = lane.dead.remove(&id) else { return false };
        let Some(row) = self.rows.get_mut(&row_id) else { return false };
        let State::Dead { reason, .. } = row.state else { return false };
        row.note("redriven", by, now);
        row.message.epoch += u32::from(reason.is_certain());
        row.message.lease.attempt = 0;
        (row.message.not_sent, row.message.refused) = (0, 0);
        row.expires = now.after(row.max_age);
        row.state = State::Waiting { due: now.at, parked: false };
        lane.due.insert((now.at, row_id));
        true
    }

    /// The letter goes with its keys: nothing is left that a redelivery could be a duplicate of.
    pub(super) fn purge(&mut self, queue: &str, id: MessageId) -> bool {
        let Some(lane) = self.lanes.get_mut(queue) else { return false };
        let Some(row) = lane.dead.remove(&id).and_then(|row| self.rows.remove(&row)) else { return false };
        lane.forget_keys(&row.keys, id);
        self.drop_if_empty(queue);
        true
    }

    pub(super) fn sweep(&mut self, queue: &str, keep_done: Duration, most: usize, now: Moment) -> usize {
        let Some(lane) = self.lanes.get_mut(queue) else { return 0 };
        let done = lane.long_done(now.at, keep_done, most);
        let swept = done.len() + lane.forget(now.at, most);
        for row in &done {
            self.rows.remove(row);
        }
        self.drop_if_empty(queue);
        swept
    }

    fn drop_if_empty(&mut self, queue: &str) {
        if self.lanes.get(queue).is_some_and(Lane::is_empty) {
            self.lanes.remove(queue);
        }
    }

    pub(super) fn stats(&self, queue: &str, now: Moment) -> Stats {
        let mut stats = Stats::default();
        let Some(lane) = self.lanes.get(queue) else { return stats };
        stats.dead = lane.dead.len() as u64;
        stats.done = lane.done.len() as u64;
        for (due, row) in &lane.due {
            let state = self.rows.get(row).map(|row| row.state);
            let of = match state {
                _ if *due <= now.at => &mut stats.ready,
                Some(State::Claimed { .. }) => &mut stats.claimed,
                Some(State::Waiting { parked: true, .. }) => &mut stats.parked,
                _ => &mut stats.scheduled,
            };
            *of += 1;
        }
        stats
    }

    /// When something can be claimed next, if anything has not ended.
    pub(super) fn next(&self, queue: &str) -> Option<Instant> {
        self.lanes.get(queue)?.due.first().map(|(due, _)| *due)
    }
}

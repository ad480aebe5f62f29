use super::{
    super::{
        clock::{millis, now},
        transaction::SqliteTransaction,
    },
    column::{CLAIMED, DEAD, date, headers_in, limit},
    history::note,
};
use crate::{
    error::StoreError,
    queue::{Claim, Lease, Message, MessageId, NewMessage, Reason},
    token::Token,
};
use rusqlite::{Connection, Row, params};
use std::sync::Arc;

/// Messages that one call buries, at most: a queue that was left alone for a week must not hold the writer up.
const BURIED: usize = 1_000;

pub(super) fn claim(
    tx: &mut SqliteTransaction<'_>,
    queue: &Arc<str>,
    claim: Claim,
) -> Result<Vec<Message>, StoreError> {
    let now = now(tx)?;
    // at least a moment, so that what is claimed here is not due again here
    let until = now + millis(claim.lease).max(1);
    let (mut claimed, mut buried) = (Vec::new(), 0);
    while claimed.len() < claim.limit && buried < BURIED {
        let due = due(tx, queue, now, claim.limit - claimed.len())?;
        if due.is_empty() {
            break;
        }
        for found in due {
            if found.lapsed {
                note(tx, found.row, found.attempt, "crashed", "its lease lapsed", now)?;
            }
            if let Some(reason) = found.end(claim.max_attempts, now) {
                bury(tx, found.row, reason, now)?;
                buried += 1;
            } else {
                claimed.push(take(tx, queue, found.row, until)?);
            }
        }
    }
    Ok(claimed)
}

/// A row that can be claimed.
struct Due {
    row: i64,
    lapsed: bool,
    attempt: u32,
    expires_at: i64,
}

impl Due {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let lapsed = row.get::<_, u8>(1)? == CLAIMED;
        Ok(Self { row: row.get(0)?, lapsed, attempt: row.get(2)?, expires_at: row.get(3)? })
    }

    /// Why it is not claimed but dead, if it is.
    fn end(&self, max_attempts: u32, now: i64) -> Option<Reason> {
        if self.lapsed && self.attempt >= max_attempts {
            return Some(Reason::Crashed);
        }
        (self.expires_at <= now).then_some(Reason::Expired)
    }
}

/// Those that have waited longest.
fn due(conn: &Connection, queue: &str, now: i64, most: usize) -> Result<Vec<Due>, StoreError> {
    let sql = "SELECT row, state, attempt, expires_at FROM steadfast_queue
        WHERE queue = ?1 AND state < 3 AND due <= ?2 ORDER BY due, row LIMIT ?3";
    let mut select = conn.prepare_cached(sql)?;
    let due = select.query_map(params![queue, now, limit(most)], Due::read)?;
    Ok(due.collect::<Result<_, _>>()?)
}

fn bury(conn: &Connection, row: i64, reason: Reason, now: i64) -> Result<(), StoreError> {
    let sql = "UPDATE steadfast_queue SET state = ?2, due = ?3, reason = ?4, token = NULL WHERE row = ?1";
    conn.prepare_cached(sql)?.execute(params![row, DEAD, now, reason.as_str()])?;
    Ok(())
}

/// The attempt is counted here, so that a crash counts.
fn take(conn: &Connection, queue: &Arc<str>, id: i64, until: i64) -> Result<Message, StoreError> {
    let sql = "UPDATE steadfast_queue SET state = ?2, due = ?3, attempt = attempt + 1, token = ?4 WHERE row = ?1
        RETURNING id, attempt, epoch, enqueued_at, topic, destination, headers, body, not_sent, refused";
    let token = Token::random();
    let mut update = conn.prepare_cached(sql)?;
    let mut rows = update.query(params![id, CLAIMED, until, token.0])?;
    let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let lease = Lease { id: MessageId(row.get(0)?), row: id, attempt: row.get(1)?, token };
    let mut message = NewMessage::new(row.get::<_, Vec<u8>>(7)?).with_headers(headers_in(row.get(6)?)?);
    message.topic = row.get(4)?;
    message.destination = row.get(5)?;
    let message = Message::claimed(queue.clone(), lease, row.get(2)?, date(row.get(3)?), message)
        .with_waits(row.get(8)?, row.get(9)?);
    // to its end: a statement that is left in the middle keeps the savepoint open
    while rows.next()?.is_some() {}
    Ok(message)
}

use super::{
    super::{
        clock::{millis, now},
        transaction::SqliteTransaction,
    },
    column::{WAITING, headers_out},
};
use crate::{
    error::StoreError,
    queue::{Enqueued, MessageId, NewMessage, Queue},
};
use rusqlite::{Connection, OptionalExtension, params};

impl SqliteTransaction<'_> {
    /// Enqueues a message in this transaction: it is there exactly if everything else that the closure writes is. Whoever
    /// waits for the queue is woken after the commit.
    ///
    /// # Errors
    /// When the queue is in another store. Passed on with `?`, it rolls the transaction back.
    #[expect(clippy::needless_pass_by_value, reason = "as `Queue::enqueue` takes it")]
    pub fn enqueue(&mut self, queue: &Queue, message: NewMessage) -> Result<Enqueued, StoreError> {
        self.belongs(queue.store().id())?;
        let conn = self.for_inserts();
        let enqueued = one(conn, queue.name(), &message, now(conn)?)?;
        self.wake(queue.name());
        Ok(enqueued)
    }
}

pub(super) fn enqueue(
    tx: &mut SqliteTransaction<'_>,
    queue: &str,
    batch: &[NewMessage],
) -> Result<Vec<Enqueued>, StoreError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let now = now(tx)?;
    let answers = batch.iter().map(|message| one(tx, queue, message, now)).collect();
    tx.wake(queue);
    answers
}

fn one(conn: &Connection, queue: &str, message: &NewMessage, now: i64) -> Result<Enqueued, StoreError> {
    let id = MessageId::new();
    if let Some(first) = know(conn, queue, message, id, now)? {
        return Ok(Enqueued::Duplicate(first));
    }
    let sql = "INSERT INTO steadfast_queue
        (id, queue, state, due, attempt, epoch, enqueued_at, expires_at, max_age, topic, destination, headers, body)
        VALUES(?1, ?2, ?3, ?4, 0, 0, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let due = now + millis(message.delay());
    let max_age = millis(message.max_age());
    let headers = headers_out(message.headers());
    conn.prepare_cached(sql)?.execute(params![
        id.0,
        queue,
        WAITING,
        due,
        now,
        due + max_age, // a message does not age while it is not to be sent
        max_age,
        message.topic(),
        message.destination(),
        headers,
        &message.body()[..],
    ])?;
    Ok(Enqueued::New(id))
}

/// Writes down the keys of a message that is new; else answers who brought one of them before.
fn know(
    conn: &Connection,
    queue: &str,
    message: &NewMessage,
    id: MessageId,
    now: i64,
) -> Result<Option<MessageId>, StoreError> {
    // one statement to look and to take: a key whose window is over is taken like a new one, one that stands twice in this
    // message is its own
    let sql = "INSERT INTO steadfast_dedupe(queue, key, id, expires_at) VALUES(?1, ?2, ?3, ?4)
        ON CONFLICT(queue, key) DO UPDATE SET id = excluded.id, expires_at = excluded.expires_at
        WHERE steadfast_dedupe.expires_at <= ?5 OR steadfast_dedupe.id = excluded.id";
    let keys: Vec<_> = message.dedupe_keys().collect();
    for (taken, (key, window)) in keys.iter().enumerate() {
        if conn.prepare_cached(sql)?.execute(params![queue, key, id.0, now + millis(*window), now])? == 1 {
            continue;
        }
        let first = "SELECT id FROM steadfast_dedupe WHERE queue = ?1 AND key = ?2";
        let first: Option<[u8; 16]> =
            conn.prepare_cached(first)?.query_row(params![queue, key], |row| row.get(0)).optional()?;
        // those before were not known to anybody else: gone is what they were
        let untake = "DELETE FROM steadfast_dedupe WHERE queue = ?1 AND key = ?2 AND id = ?3";
        for (key, _) in &keys[..taken] {
            conn.prepare_cached(untake)?.execute(params![queue, key, id.0])?;
        }
        return Ok(first.map(MessageId));
    }
    Ok(None)
}

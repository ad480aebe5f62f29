use super::{
    super::{clock::now, error::UNREADABLE, transaction::SqliteTransaction},
    column::{WAITING, bound, date, headers_in, limit},
    history,
};
use crate::{
    error::StoreError,
    queue::{DeadLetter, Filter, MessageId, Reason},
};
use rusqlite::{Connection, OptionalExtension, Row, params};

const LETTER: &str =
    "SELECT row, id, reason, due, enqueued_at, attempt, epoch, topic, destination, headers, body, not_sent, refused
    FROM steadfast_queue WHERE queue = ?1 AND state = 4";

pub(super) fn dead(
    conn: &Connection,
    queue: &str,
    filter: &Filter,
    cursor: Option<MessageId>,
    most: usize,
) -> Result<Vec<DeadLetter>, StoreError> {
    match &filter.ids {
        Some(ids) => of_ids(conn, queue, filter, ids, cursor, most),
        None => of_all(conn, queue, filter, cursor, most),
    }
}

/// Few are named: each is looked up.
fn of_ids(
    conn: &Connection,
    queue: &str,
    filter: &Filter,
    ids: &[MessageId],
    cursor: Option<MessageId>,
    most: usize,
) -> Result<Vec<DeadLetter>, StoreError> {
    let mut ids: Vec<_> = ids.iter().filter(|id| cursor.is_none_or(|cursor| **id > cursor)).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut select = conn.prepare_cached(&format!("{LETTER} AND id = ?2"))?;
    let mut letters = Vec::new();
    for id in ids {
        if letters.len() == most {
            break;
        }
        let mut rows = select.query(params![queue, id.0])?;
        if let Some(row) = rows.next()? {
            letters.extend(Some(letter(conn, row)?).filter(|letter| filter.matches(letter)));
        }
    }
    Ok(letters)
}

/// In the order of the index, from the cursor on: a page costs what it skips.
fn of_all(
    conn: &Connection,
    queue: &str,
    filter: &Filter,
    cursor: Option<MessageId>,
    most: usize,
) -> Result<Vec<DeadLetter>, StoreError> {
    let sql = format!(
        "{LETTER} AND id > ?2 AND (?3 IS NULL OR reason = ?3) AND (?4 IS NULL OR topic = ?4)
            AND (?5 IS NULL OR destination = ?5) AND (?6 IS NULL OR due < ?6) AND (?7 IS NULL OR due >= ?7)
            ORDER BY id LIMIT ?8"
    );
    let mut select = conn.prepare_cached(&sql)?;
    let cursor = cursor.map_or_else(Vec::new, |id| id.0.to_vec());
    let mut rows = select.query(params![
        queue,
        cursor,
        filter.reason.map(Reason::as_str),
        filter.topic,
        filter.destination,
        filter.died_before.map(bound),
        filter.died_after.map(bound),
        limit(most),
    ])?;
    let mut letters = Vec::new();
    while let Some(row) = rows.next()? {
        letters.push(letter(conn, row)?);
    }
    Ok(letters)
}

fn letter(conn: &Connection, row: &Row<'_>) -> Result<DeadLetter, StoreError> {
    Ok(DeadLetter {
        id: MessageId(row.get(1)?),
        reason: Reason::from_word(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?).ok_or(UNREADABLE)?,
        died_at: date(row.get(3)?),
        enqueued_at: date(row.get(4)?),
        attempts: row.get(5)?,
        not_sent: row.get(11)?,
        refused: row.get(12)?,
        epoch: row.get(6)?,
        topic: row.get(7)?,
        destination: row.get(8)?,
        headers: headers_in(row.get(9)?)?,
        body: row.get::<_, Vec<u8>>(10)?.into(),
        history: history::of(conn, row.get(0)?)?,
    })
}

pub(super) fn redrive(
    tx: &mut SqliteTransaction<'_>,
    queue: &str,
    ids: &[MessageId],
    by: &str,
) -> Result<usize, StoreError> {
    let now = now(tx)?;
    let mut redriven = 0;
    for id in ids {
        let dead = "SELECT row, attempt, reason FROM steadfast_queue WHERE queue = ?1 AND state = 4 AND id = ?2";
        let found = tx
            .prepare_cached(dead)?
            .query_row(params![queue, id.0], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?)))
            .optional()?;
        let Some((row, attempt, reason)) = found else { continue };
        history::note(tx, row, attempt, "redriven", by, now)?;
        let reason = Reason::from_word(&reason).ok_or(UNREADABLE)?;
        let sql = "UPDATE steadfast_queue SET state = ?2, due = ?3, expires_at = ?3 + max_age, attempt = 0,
            not_sent = 0, refused = 0, epoch = epoch + ?4, reason = NULL WHERE row = ?1";
        tx.prepare_cached(sql)?.execute(params![row, WAITING, now, reason.is_certain()])?;
        redriven += 1;
    }
    tx.wake(queue);
    Ok(redriven)
}

pub(super) fn purge(conn: &Connection, queue: &str, ids: &[MessageId]) -> Result<usize, StoreError> {
    let sql = "DELETE FROM steadfast_queue WHERE queue = ?1 AND state = 4 AND id = ?2 RETURNING row";
    let mut purged = 0;
    for id in ids {
        let row = conn.prepare_cached(sql)?.query_row(params![queue, id.0], |row| row.get(0)).optional()?;
        if let Some(row) = row {
            history::forget(conn, row)?;
            // nothing is left that a redelivery could be a duplicate of
            let forget = "DELETE FROM steadfast_dedupe WHERE queue = ?1 AND id = ?2";
            conn.prepare_cached(forget)?.execute(params![queue, id.0])?;
            purged += 1;
        }
    }
    Ok(purged)
}

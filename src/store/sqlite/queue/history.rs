//! What came of each attempt: `seq` counts up for ever, the newest [`Attempted::KEPT`] are kept.

use super::column::date;
use crate::{error::StoreError, queue::Attempted};
use rusqlite::{Connection, params};
use std::time::Duration;

/// Adds an entry, dated `now`. One that handed its attempt back takes the place of another such right before it.
pub(super) fn remember(
    conn: &Connection,
    row: i64,
    attempted: &Attempted,
    parked: bool,
    now: i64,
) -> Result<(), StoreError> {
    let last = "SELECT seq, parked FROM steadfast_attempt WHERE row = ?1 ORDER BY seq DESC LIMIT 1";
    let mut last = conn.prepare_cached(last)?;
    let mut last = last.query([row])?;
    let (last, replaces) = match last.next()? {
        Some(entry) => (entry.get(0)?, parked && entry.get(1)?),
        None => (0, false),
    };
    let seq: i64 = if replaces { last } else { last + 1 };
    let sql = "INSERT OR REPLACE INTO steadfast_attempt
        (row, seq, parked, attempt, at, duration_ns, outcome, status, error) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let took = i64::try_from(attempted.duration.as_nanos()).unwrap_or(i64::MAX);
    let Attempted { attempt, outcome, status, .. } = attempted;
    let error = Attempted::shortened(attempted.error.clone());
    conn.prepare_cached(sql)?.execute(params![row, seq, parked, attempt, now, took, outcome, status, error])?;
    let excess = seq - i64::try_from(Attempted::KEPT).unwrap_or(i64::MAX);
    if excess > 0 {
        let sql = "DELETE FROM steadfast_attempt WHERE row = ?1 AND seq <= ?2";
        conn.prepare_cached(sql)?.execute([row, excess])?;
    }
    Ok(())
}

/// Adds an entry that the store itself makes.
pub(super) fn note(
    conn: &Connection,
    row: i64,
    attempt: u32,
    outcome: &str,
    error: &str,
    now: i64,
) -> Result<(), StoreError> {
    let attempted = Attempted {
        attempt,
        at: date(now),
        duration: Duration::ZERO,
        outcome: outcome.to_owned(),
        status: None,
        error: error.to_owned(),
    };
    remember(conn, row, &attempted, false, now)
}

/// All that is kept, oldest first.
pub(super) fn of(conn: &Connection, row: i64) -> Result<Vec<Attempted>, StoreError> {
    let sql =
        "SELECT attempt, at, duration_ns, outcome, status, error FROM steadfast_attempt WHERE row = ?1 ORDER BY seq";
    let mut select = conn.prepare_cached(sql)?;
    let entries = select.query_map([row], |entry| {
        Ok(Attempted {
            attempt: entry.get(0)?,
            at: date(entry.get(1)?),
            duration: Duration::from_nanos(entry.get::<_, i64>(2)?.try_into().unwrap_or(0)),
            outcome: entry.get(3)?,
            status: entry.get(4)?,
            error: entry.get(5)?,
        })
    })?;
    Ok(entries.collect::<Result<_, _>>()?)
}

pub(super) fn forget(conn: &Connection, row: i64) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM steadfast_attempt WHERE row = ?1")?.execute([row])?;
    Ok(())
}

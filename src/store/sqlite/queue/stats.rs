use super::{
    super::clock::{millis, now},
    column::{CLAIMED, DEAD, DONE, PARKED, WAITING, limit},
    history,
};
use crate::{error::StoreError, queue::Stats};
use rusqlite::{Connection, params};
use std::time::Duration;

pub(super) fn stats(conn: &Connection, queue: &str) -> Result<Stats, StoreError> {
    // three indexes, none of them wider than what it counts
    let sql = "SELECT state, due <= ?2, count(*) FROM steadfast_queue WHERE queue = ?1 AND state < 3 GROUP BY 1, 2
        UNION ALL SELECT 3, 0, count(*) FROM steadfast_queue WHERE queue = ?1 AND state = 3
        UNION ALL SELECT 4, 0, count(*) FROM steadfast_queue WHERE queue = ?1 AND state = 4";
    let mut select = conn.prepare_cached(sql)?;
    let mut rows = select.query(params![queue, now(conn)?])?;
    let mut stats = Stats::default();
    while let Some(row) = rows.next()? {
        let of = match (row.get(0)?, row.get(1)?) {
            (WAITING | PARKED | CLAIMED, true) => &mut stats.ready,
            (WAITING, false) => &mut stats.scheduled,
            (PARKED, false) => &mut stats.parked,
            (CLAIMED, false) => &mut stats.claimed,
            (DONE, _) => &mut stats.done,
            (DEAD, _) => &mut stats.dead,
            _ => continue,
        };
        *of += u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0);
    }
    Ok(stats)
}

pub(super) fn sweep(conn: &Connection, queue: &str, keep_done: Duration, most: usize) -> Result<usize, StoreError> {
    let now = now(conn)?;
    let sql = "DELETE FROM steadfast_queue WHERE row IN (SELECT row FROM steadfast_queue
        WHERE queue = ?1 AND state = 3 AND due < ?2 ORDER BY due LIMIT ?3) RETURNING row";
    let rows: Vec<i64> = conn
        .prepare_cached(sql)?
        .query_map(params![queue, now - millis(keep_done), limit(most)], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for row in &rows {
        history::forget(conn, *row)?;
    }
    let sql = "DELETE FROM steadfast_dedupe WHERE queue = ?1 AND key IN (SELECT key FROM steadfast_dedupe
        WHERE queue = ?1 AND expires_at <= ?2 ORDER BY expires_at LIMIT ?3)";
    let keys = conn.prepare_cached(sql)?.execute(params![queue, now, limit(most)])?;
    Ok(rows.len() + keys)
}

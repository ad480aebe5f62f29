use super::{
    super::{
        clock::{millis, now},
        transaction::SqliteTransaction,
    },
    column::{DEAD, DONE, PARKED, WAITING},
    history::remember,
};
use crate::{
    error::StoreError,
    queue::{Attempted, Lease, LeaseLost, Reason, Settle},
};
use rusqlite::{Connection, params};
use std::time::Duration;

pub(super) type Answers = Vec<Result<(), LeaseLost>>;

pub(super) fn extend(conn: &Connection, leases: &[Lease], by: Duration) -> Result<Answers, StoreError> {
    let until = now(conn)? + millis(by);
    let sql = "UPDATE steadfast_queue SET due = ?4 WHERE row = ?1 AND attempt = ?2 AND token = ?3 AND state = 2";
    let mut update = conn.prepare_cached(sql)?;
    let extend = |lease: &Lease| {
        let extended = update.execute(params![lease.row, lease.attempt, lease.token.0, until])?;
        Ok(if extended == 1 { Ok(()) } else { Err(LeaseLost) })
    };
    leases.iter().map(extend).collect()
}

pub(super) fn settle(tx: &mut SqliteTransaction<'_>, settled: &[(Lease, Settle)]) -> Result<Answers, StoreError> {
    let now = now(tx)?;
    settled.iter().map(|(lease, settle)| one(tx, lease, settle, now)).collect()
}

fn one(
    tx: &mut SqliteTransaction<'_>,
    lease: &Lease,
    settle: &Settle,
    now: i64,
) -> Result<Result<(), LeaseLost>, StoreError> {
    let end = End::of(settle, now);
    // whoever is parked for ever still becomes too old in time: no wait reaches beyond that
    let sql = "UPDATE steadfast_queue
        SET state = ?4, due = CASE WHEN ?4 < 2 THEN min(?5, expires_at) ELSE ?5 END, attempt = attempt - ?6, reason = ?7,
            token = NULL, not_sent = not_sent + ?8, refused = refused + ?9
        WHERE row = ?1 AND attempt = ?2 AND token = ?3 AND state = 2 RETURNING queue";
    let reason = end.reason.map(Reason::as_str);
    let (not_sent, refused) = settle.raises();
    let (attempt, token) = (lease.attempt, lease.token.0);
    let row = params![lease.row, attempt, token, end.state, end.due, end.hands_back, reason, not_sent, refused];
    let queue: Option<String> = {
        let mut update = tx.prepare_cached(sql)?;
        let mut rows = update.query(row)?;
        let queue = rows.next()?.map(|row| row.get(0)).transpose()?;
        while queue.is_some() && rows.next()?.is_some() {}
        queue
    };
    let Some(queue) = queue else { return Ok(Err(LeaseLost)) };
    if let Some(attempted) = end.attempted {
        remember(tx, lease.row, attempted, end.state == PARKED, now)?;
    }
    if end.state == WAITING || end.state == PARKED {
        tx.wake(&queue); // it may be due sooner than what they wait for
    }
    Ok(Ok(()))
}

/// What a row becomes.
struct End<'a> {
    state: u8,
    due: i64,
    hands_back: bool,
    reason: Option<Reason>,
    attempted: Option<&'a Attempted>,
}

impl<'a> End<'a> {
    fn of(settle: &'a Settle, now: i64) -> Self {
        let end = |state| Self { state, due: now, hands_back: false, reason: None, attempted: None };
        match settle {
            Settle::Done => end(DONE),
            Settle::Release => Self { hands_back: true, ..end(WAITING) },
            Settle::Retry { after, attempted } => {
                Self { due: now + millis(*after), attempted: Some(attempted), ..end(WAITING) }
            }
            Settle::Park { after, attempted } => {
                Self { due: now + millis(*after), hands_back: true, attempted: Some(attempted), ..end(PARKED) }
            }
            Settle::Dead { reason, attempted } => {
                Self { reason: Some(*reason), attempted: Some(attempted), ..end(DEAD) }
            }
        }
    }
}

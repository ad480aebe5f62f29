//! Records: one row a key, one statement or two a call.

use super::{
    super::released::{RELEASED, Released},
    SqliteStore,
    clock::{duration, millis, now},
    error::UNREADABLE,
    transaction::SqliteTransaction,
};
use crate::{
    error::{BoxFuture, StoreError},
    idempotency::{
        Begin, Begun, Claim, Fence, Fenced, Fingerprint, IdempotencyStore, Recorded, StoreKey, StoredResponse,
    },
    token::{StoreId, Token},
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

const RUNNING: u8 = 0;
const RESPONSE: u8 = 1;
const NOT_RETAINED: u8 = 2;
/// How many released tokens are remembered.
const REMEMBERED: usize = 10_000;

impl IdempotencyStore for SqliteStore {
    fn id(&self) -> StoreId {
        self.inner.id
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Begun, StoreError>> {
        let released = self.inner.released.clone();
        Box::pin(self.write(move |tx| begin_in(tx, &begin, &released)))
    }

    fn complete(&self, fence: Fence, recorded: Recorded, keep: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(self.write(move |tx| complete_in(tx, fence, &recorded, keep)))
    }

    fn renew(&self, fence: Fence, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(self.write(move |tx| {
            let until = now(tx)? + millis(lease);
            let sql = "UPDATE steadfast_idempotency SET lease_until = ?3 WHERE key = ?1 AND token = ?2 AND state = 0";
            let renewed = tx.prepare_cached(sql)?.execute(params![fence.key.0, fence.token.0, until])?;
            if renewed == 1 { Ok(Fenced::Done) } else { state(tx, fence) }
        }))
    }

    fn release(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        let remembered = self.inner.released.clone();
        Box::pin(self.write(move |tx| {
            lock(&remembered).add(fence.token, Instant::now(), REMEMBERED);
            let sql = "DELETE FROM steadfast_idempotency WHERE key = ?1 AND token = ?2 AND state = 0";
            let released = tx.prepare_cached(sql)?.execute(params![fence.key.0, fence.token.0])?;
            if released == 1 { Ok(Fenced::Done) } else { state(tx, fence) }
        }))
    }

    /// On the writer and not on a reader: there it comes after every transaction that was handed in before.
    fn settled(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        Box::pin(self.write(move |tx| state(tx, fence)))
    }

    fn get(&self, key: StoreKey) -> BoxFuture<'_, Result<Option<Recorded>, StoreError>> {
        Box::pin(self.read(move |conn| {
            let sql =
                "SELECT state, response FROM steadfast_idempotency WHERE key = ?1 AND state > 0 AND expires_at > ?2";
            let mut select = conn.prepare_cached(sql)?;
            let found = select.query_row(params![key.0, now(conn)?], |row| Ok(recorded(row.get(0)?, row.get(1)?)));
            found.optional()?.transpose()
        }))
    }

    fn sweep(&self, most: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(self.write(move |tx| {
            let sql = "DELETE FROM steadfast_idempotency WHERE key IN (SELECT key FROM steadfast_idempotency
                WHERE expires_at IS NOT NULL AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            Ok(tx.prepare_cached(sql)?.execute(params![now(tx)?, most])?)
        }))
    }
}

fn lock(released: &Mutex<Released>) -> MutexGuard<'_, Released> {
    released.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SqliteTransaction<'_> {
    /// Records what the claimed request came to, in this transaction: the record is there exactly if everything else that it
    /// writes is. Kept for as long as the claim says; headers that are not for a second reader go. Of a claim that
    /// [is open](Claim::is_open) nothing is recorded. `last_insert_rowid()` stays what it was.
    ///
    /// # Errors
    /// When the claim is another store's, was lost to a later attempt, or is complete already. Passed on with `?`, it rolls
    /// the transaction back.
    pub fn complete(&mut self, claim: &Claim, response: &StoredResponse) -> Result<(), StoreError> {
        self.belongs(claim.store())?;
        if claim.is_open() {
            return Ok(());
        }
        // before anything can fail: from here on the layer asks what became of the record, and believes no status
        claim.mark_in_transaction();
        let recorded = claim.recorded(response)?;
        match complete_in(self.conn, claim.fence(), &recorded, claim.keep())? {
            Fenced::Done => Ok(()),
            Fenced::Already => Err(StoreError::new("the claim is complete already")),
            Fenced::Lost => Err(StoreError::new("the claim was lost to a later attempt")),
        }
    }
}

/// A row, as `begin` reads it.
struct Found {
    fingerprint: Fingerprint,
    token: Token,
    attempt: u32,
    state: u8,
    lease_until: i64,
    response: Option<Vec<u8>>,
}

impl Found {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            fingerprint: Fingerprint { version: row.get(0)?, hash: row.get(1)? },
            token: Token(row.get(2)?),
            attempt: row.get(3)?,
            state: row.get(4)?,
            lease_until: row.get(5)?,
            response: row.get(6)?,
        })
    }
}

fn begin_in(conn: &Connection, begin: &Begin, released: &Mutex<Released>) -> Result<Begun, StoreError> {
    let now = now(conn)?;
    let sql = "SELECT fp_version, fp, token, attempt, state, lease_until, response FROM steadfast_idempotency
        WHERE key = ?1 AND (expires_at IS NULL OR expires_at > ?2)";
    let found = conn.prepare_cached(sql)?.query_row(params![begin.key.0, now], Found::read).optional()?;
    let attempt = match found {
        None => 1,
        Some(found) if !found.fingerprint.matches(&begin.fingerprint) => return Ok(Begun::Mismatch),
        Some(found) if found.state != RUNNING => {
            return recorded(found.state, found.response).map(Begun::Completed);
        }
        Some(found) if found.token == begin.token => return Ok(Begun::Acquired { attempt: found.attempt }),
        Some(found) if found.lease_until > now => {
            return Ok(Begun::InFlight { lease_left: duration(found.lease_until - now) });
        }
        Some(found) if begin.take_over != Some(found.token) => {
            return Ok(Begun::Lapsed { stale: found.token, attempt: found.attempt });
        }
        Some(found) => found.attempt.saturating_add(1),
    };
    if lock(released).has(begin.token) {
        return Err(RELEASED);
    }
    let sql = "INSERT OR REPLACE INTO steadfast_idempotency(key, fp_version, fp, token, attempt, state, lease_until)
        VALUES(?1, ?2, ?3, ?4, ?5, 0, ?6)";
    let Begin { key, fingerprint, token, lease, .. } = begin;
    let until = now + millis(*lease);
    let row = params![key.0, fingerprint.version, fingerprint.hash, token.0, attempt, until];
    conn.prepare_cached(sql)?.execute(row)?;
    Ok(Begun::Acquired { attempt })
}

fn complete_in(conn: &Connection, fence: Fence, recorded: &Recorded, keep: Duration) -> Result<Fenced, StoreError> {
    let (to, response) = match recorded {
        Recorded::Response(response) => (RESPONSE, Some(response.encode())),
        Recorded::NotRetained => (NOT_RETAINED, None),
    };
    let sql = "UPDATE steadfast_idempotency SET state = ?3, response = ?4, expires_at = ?5
        WHERE key = ?1 AND token = ?2 AND state = 0";
    let expires = now(conn)? + millis(keep);
    let completed = conn.prepare_cached(sql)?.execute(params![fence.key.0, fence.token.0, to, response, expires])?;
    if completed == 1 { Ok(Fenced::Done) } else { state(conn, fence) }
}

fn state(conn: &Connection, fence: Fence) -> Result<Fenced, StoreError> {
    let sql = "SELECT state FROM steadfast_idempotency
        WHERE key = ?1 AND token = ?2 AND (expires_at IS NULL OR expires_at > ?3)";
    let mut select = conn.prepare_cached(sql)?;
    let found: Option<u8> =
        select.query_row(params![fence.key.0, fence.token.0, now(conn)?], |row| row.get(0)).optional()?;
    Ok(match found {
        None => Fenced::Lost,
        Some(RUNNING) => Fenced::Done,
        Some(_) => Fenced::Already,
    })
}

fn recorded(state: u8, response: Option<Vec<u8>>) -> Result<Recorded, StoreError> {
    match (state, response) {
        (NOT_RETAINED, _) => Ok(Recorded::NotRetained),
        (_, Some(response)) => StoredResponse::decode(response).map(Recorded::Response).ok_or(UNREADABLE),
        (_, None) => Err(UNREADABLE),
    }
}

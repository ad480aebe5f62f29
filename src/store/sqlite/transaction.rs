use super::rowid::Rowid;
use crate::{error::StoreError, token::StoreId};
use rusqlite::Connection;
use std::{fmt, ops::Deref};

/// What a closure of [`SqliteStore::transaction`](super::SqliteStore::transaction) works with: the connection that writes, in
/// the middle of a transaction.
///
/// The user's own statements go through `Deref` to [`rusqlite::Connection`]. Statements that would end the transaction or
/// leave the file (`BEGIN`, `COMMIT`, `ROLLBACK`, `ATTACH`, `DETACH`, `PRAGMA`) are refused; savepoints are welcome. Hooks and
/// handlers of the connection belong to the store: leave them alone.
///
/// [`last_insert_rowid()`](Connection::last_insert_rowid) is that of the closure's own statements, whatever `enqueue` and `complete`
/// insert. [`changes()`](Connection::changes) and `total_changes()` count the statements of the store as well: take the number that
/// `execute` returns.
pub struct SqliteTransaction<'a> {
    pub(super) conn: &'a Connection,
    pub(super) store: StoreId,
    pub(super) rowid: Rowid,
    /// The queues whose waiters are to be woken after the commit: those who begin to wait before it have to be woken too.
    pub(super) woken: &'a mut Vec<Box<str>>,
}

impl SqliteTransaction<'_> {
    /// Which store this is a transaction of.
    pub fn store(&self) -> StoreId {
        self.store
    }

    /// Whether something that belongs to `store` may be written here.
    #[cfg_attr(not(any(feature = "idempotency", feature = "queue")), expect(dead_code, reason = "asked by both"))]
    pub(super) fn belongs(&self, store: StoreId) -> Result<(), StoreError> {
        if store != self.store {
            return Err(StoreError::new("it belongs to another store than this transaction"));
        }
        if self.conn.is_autocommit() {
            return Err(StoreError::new("this transaction was rolled back"));
        }
        Ok(())
    }

    /// Returns the connection for statements of the store that insert: `last_insert_rowid()` stays the closure's.
    #[cfg_attr(not(feature = "queue"), expect(dead_code, reason = "records have no rowid"))]
    pub(super) fn for_inserts(&self) -> &Connection {
        self.rowid.keep(self.conn);
        self.conn
    }

    /// Tells, after the commit, whoever waits for the queue.
    #[cfg_attr(not(feature = "queue"), expect(dead_code, reason = "only queues are waited for"))]
    pub(super) fn wake(&mut self, queue: &str) {
        if !self.woken.iter().any(|other| **other == *queue) {
            self.woken.push(queue.into());
        }
    }
}

impl Deref for SqliteTransaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.rowid.set_back(self.conn);
        self.conn
    }
}

impl fmt::Debug for SqliteTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTransaction").field("store", &self.store).finish_non_exhaustive()
    }
}

//! `last_insert_rowid()` as a closure's own statements made it.
//!
//! SQLite has a function that sets it, which rusqlite does not offer, so a row of that id is inserted into a temporary table and deleted
//! again. That happens only if the closure uses the connection after the store has inserted: most closures do not.

use crate::error::StoreError;
use rusqlite::Connection;
use std::cell::Cell;

pub(super) const LOST: StoreError = StoreError::refused("the last_insert_rowid() of the closure could not be set back");

/// Of one transaction.
#[derive(Default)]
pub(super) struct Rowid {
    /// The closure's own, while the connection may have another.
    own: Cell<Option<i64>>,
    is_lost: Cell<bool>,
}

impl Rowid {
    /// Creates the table that sets it, for a connection that writes.
    pub(super) fn prepare(conn: &Connection) -> rusqlite::Result<()> {
        conn.execute_batch("CREATE TEMP TABLE steadfast_rowid(id INTEGER PRIMARY KEY)")
    }

    /// To be called before the store inserts.
    pub(super) fn keep(&self, conn: &Connection) {
        if self.own.get().is_none() {
            self.own.set(Some(conn.last_insert_rowid()));
        }
    }

    /// To be called before the closure uses the connection.
    pub(super) fn set_back(&self, conn: &Connection) {
        let Some(own) = self.own.take() else { return };
        if conn.last_insert_rowid() != own && insert(conn, own).is_err() {
            self.is_lost.set(true);
        }
    }

    /// Whether the closure may have seen another one than its own.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.get()
    }
}

fn insert(conn: &Connection, id: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT INTO temp.steadfast_rowid(id) VALUES(?1)")?.execute([id])?;
    conn.prepare_cached("DELETE FROM temp.steadfast_rowid")?.execute([]).map(drop)
}

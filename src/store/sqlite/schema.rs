//! The tables, and how they come to be.

use crate::error::StoreError;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

/// Each step leads from the version that is its place in the list to the next one. Steps that were published never change.
const STEPS: [&str; 3] = [include_str!("schema/1.sql"), include_str!("schema/2.sql"), include_str!("schema/3.sql")];

/// Brings the tables to the newest version. Safe to run by several processes at once: one takes the lock, the others find
/// nothing left to do.
pub(super) fn migrate(conn: &mut Connection) -> Result<(), StoreError> {
    if version(conn)? == STEPS.len() {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let from = version(&tx)?;
    for step in STEPS.iter().skip(from) {
        tx.execute_batch(step)?;
    }
    if from < STEPS.len() {
        let version = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
        tx.execute("INSERT OR REPLACE INTO steadfast_meta(key, value) VALUES('schema', ?1)", [version])?;
    }
    tx.commit()?;
    Ok(())
}

/// 0 where there are no tables yet.
fn version(conn: &Connection) -> Result<usize, StoreError> {
    let there = "SELECT EXISTS(SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'steadfast_meta')";
    if !conn.query_row(there, [], |row| row.get(0))? {
        return Ok(0);
    }
    let version: Option<i64> =
        conn.query_row("SELECT value FROM steadfast_meta WHERE key = 'schema'", [], |row| row.get(0)).optional()?;
    let version = usize::try_from(version.unwrap_or(0)).unwrap_or(usize::MAX);
    if version > STEPS.len() {
        let known = STEPS.len();
        let source = format!("the file has schema {version}, this version of steadfast knows up to {known}");
        return Err(StoreError::with_source("the file was written by a newer version of steadfast", source));
    }
    Ok(version)
}

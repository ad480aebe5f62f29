//! The store's clock is SQLite's: every process that has the file open reads the same one. Stored as whole milliseconds.

use crate::error::StoreError;
use rusqlite::Connection;
use std::time::Duration;

/// Far enough for "for ever", near enough that adding a few of them to a date does not overflow.
const FAR: i64 = i64::MAX / 8;

/// Milliseconds since 1970-01-01 UTC.
pub(super) fn now(conn: &Connection) -> Result<i64, StoreError> {
    let mut now = conn.prepare_cached("SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)")?;
    Ok(now.query_row([], |row| row.get(0))?)
}

/// Whole milliseconds, rounded up: nothing lapses before its time.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000)).map_or(FAR, |millis| millis.min(FAR))
}

/// None for what lies in the past.
pub(super) fn duration(millis: i64) -> Duration {
    Duration::from_millis(millis.try_into().unwrap_or(0))
}

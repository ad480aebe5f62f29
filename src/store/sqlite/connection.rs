//! How connections are opened: the one that writes, and those that read.

use super::{config::SqliteConfig, file, maintenance::LOG_PAGES, rowid::Rowid};
use crate::error::StoreError;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::{path::Path, thread::park_timeout, time::Duration};

/// How often a lock that another process holds is tried again. SQLite's own waits grow to 100 ms: beside a busy writer, which
/// lets go for less than one, they would rarely meet the moment.
const BUSY_PAUSE: Duration = Duration::from_millis(1);
/// And how many times: five seconds.
const BUSY_TRIES: i32 = 5_000;

/// Kept by the writer, in KiB.
const CACHE: i32 = 32 * 1024;
/// The log is cut back to this many bytes after it was larger.
const LOG_BYTES: i64 = 64 << 20;

pub(super) fn writer(path: &Path, config: &SqliteConfig) -> Result<Connection, StoreError> {
    file::is_path(path)?;
    file::create_private(path)?;
    let mut conn = Connection::open(path)?;
    wait_for_locks(&mut conn)?;
    // before the first table is made, else it would need a VACUUM
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    use_log(&conn)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    // macOS: an fsync leaves the disk's own cache alone; elsewhere these two do nothing
    conn.pragma_update(None, "fullfsync", true)?;
    conn.pragma_update(None, "checkpoint_fullfsync", true)?;
    conn.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    conn.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    conn.pragma_update(None, "cache_size", -CACHE)?;
    if let Some(most) = config.max_bytes {
        let page: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = i64::try_from(most.get()).unwrap_or(i64::MAX) / page.max(1);
        conn.query_row(
            &format!("PRAGMA max_page_count = {}", pages.clamp(1, i64::from(u32::MAX - 1))),
            [],
            |_| Ok(()),
        )?;
    }
    Rowid::prepare(&conn)?;
    conn.set_prepared_statement_cache_capacity(128);
    Ok(conn)
}

pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let mut conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    wait_for_locks(&mut conn)?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

fn wait_for_locks(conn: &mut Connection) -> Result<(), StoreError> {
    conn.busy_handler(Some(|tries| {
        park_timeout(BUSY_PAUSE);
        tries < BUSY_TRIES
    }))?;
    Ok(())
}

/// A write-ahead log: readers never wait for the writer, and a commit is one fsync.
fn use_log(conn: &Connection) -> Result<(), StoreError> {
    let mut tries = 0;
    loop {
        match conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)) {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(_) => return Err(StoreError::new("no write-ahead log is possible here: in memory, or a network share")),
            // several processes at once: for this one lock SQLite does not ask the handler
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && tries < BUSY_TRIES => {
                tries += 1;
                park_timeout(BUSY_PAUSE);
            }
            Err(e) => return Err(e.into()),
        }
    }
}

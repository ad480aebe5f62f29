//! What keeps the log short and the file small, between commits instead of inside them.

use rusqlite::Connection;

/// Rows written since the last checkpoint that are worth one when nobody waits.
const ROWS_IDLE: u64 = 1_000;
/// And that are too many even under load.
const ROWS_BUSY: u64 = 20_000;
/// Pages of log at which SQLite makes a checkpoint by itself, inside a commit: 64 MiB. Rows that large are rare; its own default,
/// 1,000 pages, would be met by every few groups.
pub(super) const LOG_PAGES: u32 = 16_000;
/// Free pages that are given back at a time.
const VACUUM: u32 = 256;
/// Fewer free pages than these are kept: the next messages will use them.
const FREE: u32 = 1_024;

#[derive(Default)]
pub(super) struct Maintenance {
    /// How many rows had been written when the log was last copied into the file.
    copied: u64,
    /// Whether there was a commit since the file was last looked at.
    changed: bool,
}

impl Maintenance {
    pub(super) fn after_commit(&mut self, conn: &Connection) {
        self.changed = true;
        self.checkpoint(conn, ROWS_BUSY);
    }

    /// A commit failed, maybe because the log cannot grow. What is copied into the file makes room in the log.
    pub(super) fn after_failure(&mut self, conn: &Connection) {
        self.checkpoint(conn, 0);
    }

    /// Does a little, if there is something to do; answers whether there may be more.
    pub(super) fn step(&mut self, conn: &Connection) -> bool {
        self.checkpoint(conn, ROWS_IDLE) || self.vacuum(conn)
    }

    /// A failure is met again by the next one, and no message depends on it.
    fn checkpoint(&mut self, conn: &Connection, worth: u64) -> bool {
        let written = conn.total_changes();
        if written.saturating_sub(self.copied) < worth {
            return false;
        }
        // PASSIVE waits for no reader: what it cannot copy now stays for the next time
        let _ = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        self.copied = written;
        true
    }

    fn vacuum(&mut self, conn: &Connection) -> bool {
        let count = |name| conn.pragma_query_value(None, name, |row| row.get::<_, u32>(0)).unwrap_or(0);
        if !std::mem::take(&mut self.changed) {
            return false;
        }
        let (free, pages) = (count("freelist_count"), count("page_count"));
        if free < FREE || free < pages / 2 {
            return false;
        }
        self.changed = give_back(conn).is_ok();
        self.changed
    }
}

/// Each step of the statement frees one page.
fn give_back(conn: &Connection) -> rusqlite::Result<()> {
    let mut vacuum = conn.prepare(&format!("PRAGMA incremental_vacuum({VACUUM})"))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

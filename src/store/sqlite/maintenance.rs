//! What keeps the file small and the log short, between commits instead of inside them.

use super::hook::Set;
use rusqlite::Connection;
use std::cell::Cell;

/// Pages of new log that are worth a checkpoint when nobody waits: 4 MiB.
const LOG_IDLE: u32 = 1_000;
/// And that are too many even under load: 32 MiB. SQLite's own checkpoint would come every 1,000, inside a commit.
const LOG_BUSY: u32 = 8_000;
/// Free pages that are given back at a time.
const VACUUM: u32 = 256;
/// Fewer free pages than these are kept: the next messages will use them.
const FREE: u32 = 1_024;

thread_local!(static LOG: Cell<u32> = const { Cell::new(0) });

pub(super) struct Maintenance {
    /// How long the log was when it was last copied into the file.
    copied: u32,
    /// Whether there was a commit since the file was last looked at.
    changed: bool,
}

impl Maintenance {
    pub(super) fn set(conn: &mut Connection) -> rusqlite::Result<Self> {
        // Takes the place of the automatic checkpoint. The hook is called on the thread that commits: the writer's.
        conn.wal_hook(Some(|_, pages| {
            LOG.set(u32::try_from(pages).unwrap_or(0));
            Ok(())
        }))
        .is_set()?;
        Ok(Self { copied: 0, changed: false })
    }

    pub(super) fn after_commit(&mut self, conn: &Connection) {
        self.changed = true;
        self.checkpoint(conn, LOG_BUSY);
    }

    /// Does a little, if there is something to do; answers whether there may be more.
    pub(super) fn step(&mut self, conn: &Connection) -> bool {
        self.checkpoint(conn, LOG_IDLE) || self.vacuum(conn)
    }

    /// A failure is met again by the next one, and no message depends on it.
    fn checkpoint(&mut self, conn: &Connection, worth: u32) -> bool {
        let log = LOG.get();
        if log < self.copied {
            self.copied = 0; // the log has begun anew
        }
        if log - self.copied < worth {
            return false;
        }
        // PASSIVE waits for no reader: what it cannot copy now stays for the next time
        let _ = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        self.copied = log;
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

//! What becomes of a connection after an error.

use crate::error::StoreError;
use sqlx::Error;
use std::{
    error::Error as _,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The session is as it was.
    Keep,
    /// Nobody knows its state, nor whether the statement was executed.
    Close,
    /// The server executed nothing, and will not on this session: the call is repeated on another one.
    Replace,
    /// The same, but so it may be on every session of a server that only reads.
    ReplaceIfFew,
}

impl Fate {
    pub(super) fn after(error: &StoreError) -> Self {
        match below(error) {
            Some(Error::Database(error)) => Self::by_code(error.code().as_deref().unwrap_or_default()),
            Some(Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed) => Self::Close,
            _ => Self::Keep,
        }
    }

    /// By SQLSTATE (PostgreSQL manual, appendix A).
    fn by_code(code: &str) -> Self {
        match code {
            // the server became a standby, or its sessions read-only: new sessions may reach another one
            "25006" => Self::ReplaceIfFew,
            // shut down, crashed, starting, database dropped, idle for too long: the session is over
            "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03" | "25P04"
            // a transaction that was left open here has failed
            | "25P02"
            // somebody discarded the prepared statements
            | "26000"
            // a table was altered under a prepared statement
            | "0A000" => Self::Replace,
            // prepared statements of several clients meet on one session of a pooler
            "42P05" => Self::Close,
            _ if code.starts_with("08") => Self::Close,
            _ => Self::Keep,
        }
    }
}

/// sqlx's error below one of the store.
pub(super) fn below(error: &StoreError) -> Option<&Error> {
    error.source()?.downcast_ref()
}

/// How many sessions are replaced in a second: a server on which every session is read-only is not asked for a new one with every
/// call.
pub(super) struct Replacements {
    most: u32,
    recent: Mutex<Recent>,
}

struct Recent {
    since: Option<Instant>,
    count: u32,
}

const SECOND: Duration = Duration::from_secs(1);

impl Replacements {
    /// For a pool of so many connections: it may have to replace all of them at once, and those that it opened meanwhile.
    pub(super) fn new(connections: u32) -> Self {
        Self { most: connections.saturating_mul(2).max(10), recent: Mutex::new(Recent { since: None, count: 0 }) }
    }

    /// Whether one more may be replaced now.
    pub(super) fn take(&self) -> bool {
        let now = Instant::now();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.since.is_none_or(|since| now - since >= SECOND) {
            *recent = Recent { since: Some(now), count: 0 };
        }
        let may = recent.count < self.most;
        recent.count += u32::from(may);
        may
    }
}

use crate::error::StoreError;
use rusqlite::{Error, ErrorCode, ffi};

/// Where a write failed for another reason than a full disk: SQLite reports no cause.
const WRITES: [i32; 3] = [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_TRUNCATE, ffi::SQLITE_IOERR_SHMSIZE];

/// So that `?` takes SQLite's errors where a [`StoreError`] is returned, as in closures for
/// [`SqliteStore::transaction`](super::SqliteStore::transaction). The error itself is the `source()`.
impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let extended = error.sqlite_error().map(|error| error.extended_code);
        let what = match error.sqlite_error_code() {
            Some(ErrorCode::SystemIoFailure) if extended.is_some_and(|code| WRITES.contains(&code)) => {
                "the file may not be written: the disk failed, or a limit of the process for file sizes is reached"
            }
            Some(ErrorCode::DiskFull) => "the disk is full, or the file as large as it may be",
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "the file is locked by another process",
            Some(ErrorCode::OperationInterrupted) => "interrupted: the closure took too long",
            Some(ErrorCode::AuthorizationForStatementDenied) => "not allowed inside a transaction of the store",
            Some(ErrorCode::ReadOnly) => "the file is read-only",
            Some(ErrorCode::SystemIoFailure) => "the disk failed",
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => "the file is damaged, or no database",
            Some(ErrorCode::CannotOpen) => "the file cannot be opened",
            Some(ErrorCode::ConstraintViolation) => "a constraint was violated",
            _ => "sqlite failed",
        };
        Self::with_source(what, error)
    }
}

/// A row of the crate's own tables holds what the crate never wrote.
pub(super) const UNREADABLE: StoreError = StoreError::unreadable("a stored row cannot be read");

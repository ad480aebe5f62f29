use crate::error::StoreError;
use rusqlite::{Error, ErrorCode, ffi};

/// Where a write failed for another reason than a full disk: SQLite does not say which.
const WRITES: [i32; 3] = [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_TRUNCATE, ffi::SQLITE_IOERR_SHMSIZE];

/// So that `?` takes SQLite's errors where a [`StoreError`] is returned, as in closures for
/// [`SqliteStore::transaction`](super::SqliteStore::transaction). The error itself is the `source()`.
impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let extended = error.sqlite_error().map(|error| error.extended_code);
        let (of, what): (fn(&'static str) -> Self, _) = match error.sqlite_error_code() {
            Some(ErrorCode::SystemIoFailure) if extended.is_some_and(|code| WRITES.contains(&code)) => (
                Self::new,
                "the file may not be written: the disk failed, or a limit of the process for file sizes is reached",
            ),
            Some(ErrorCode::DiskFull) => (Self::full, "the disk is full, or the file as large as it may be"),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                (Self::refused, "the file is locked by another process")
            }
            Some(ErrorCode::OperationInterrupted) => (Self::refused, "interrupted: the closure took too long"),
            Some(ErrorCode::AuthorizationForStatementDenied) => {
                (Self::refused, "not allowed inside a transaction of the store")
            }
            Some(ErrorCode::ReadOnly) => (Self::refused, "the file is read-only"),
            // a commit whose fsync failed may be found after a crash all the same
            Some(ErrorCode::SystemIoFailure) => (Self::new, "the disk failed"),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                (Self::new, "the file is damaged, or no database")
            }
            Some(ErrorCode::CannotOpen) => (Self::refused, "the file cannot be opened"),
            Some(ErrorCode::ConstraintViolation) => (Self::refused, "a constraint was violated"),
            _ => (Self::new, "sqlite failed"),
        };
        of(what).caused_by(error)
    }
}

/// A row of the crate's own tables holds what the crate never wrote.
pub(super) const UNREADABLE: StoreError = StoreError::unreadable("a stored row cannot be read");

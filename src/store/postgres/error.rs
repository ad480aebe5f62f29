use super::fate::below;
use crate::error::StoreError;
use sqlx::Error;

/// So that `?` takes sqlx's errors where a [`StoreError`] is returned. The error itself is the `source()`; none of sqlx's has
/// the password in it.
impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let (of, what): (fn(&'static str) -> Self, _) = match &error {
            Error::Database(error) => {
                let code = error.code();
                let code = code.as_deref().unwrap_or_default();
                (outcome(code), of_server(code))
            }
            Error::Configuration(_) => (Self::refused, "the address or the settings of the server are wrong"),
            Error::Tls(_) => (Self::refused, "the server cannot be spoken to over TLS"),
            Error::Io(_) | Error::Protocol(_) | Error::WorkerCrashed => (Self::new, "the server cannot be reached"),
            Error::PoolTimedOut => (Self::refused, "no connection in time: the server is away, or the pool used up"),
            Error::PoolClosed => (Self::refused, "the pool is closed"),
            _ => (Self::new, "postgres failed"),
        };
        of(what).caused_by(error)
    }
}

/// Whether a statement that fails with this SQLSTATE has certainly done nothing: a failed statement is rolled back, unless the
/// server was going down or lost sight of it.
fn outcome(code: &str) -> fn(&'static str) -> StoreError {
    match code {
        "53100" => StoreError::full,
        "" | "40003" => StoreError::new,
        _ if code.starts_with("08") || code.starts_with("57P") => StoreError::new,
        _ => StoreError::refused,
    }
}

/// By SQLSTATE (PostgreSQL manual, appendix A).
fn of_server(code: &str) -> &'static str {
    match code {
        "40001" | "40P01" => "the transaction met another one: repeat it from its begin",
        "55P03" => "another transaction holds the row for too long",
        "57014" => "the statement took too long, or was cancelled",
        "25P02" => "the transaction has failed before",
        "25006" => "the server or the transaction is read-only",
        "42P01" | "42703" => "a table or a column is missing: was the schema migrated?",
        "42501" => "the role has not the right to do that",
        "3F000" => "there is no schema to make tables in: see search_path",
        "3D000" => "there is no such database",
        "53300" => "the server has no connection left",
        "53100" => "the disk of the server is full",
        "57P01" | "57P02" | "57P03" => "the server is going down, or coming up",
        _ => match code.get(..2) {
            Some("08") => "the server cannot be reached",
            Some("23") => "a constraint was violated",
            Some("28") => "the server refused the user or the password",
            _ => "postgres failed",
        },
    }
}

/// Whether the server broke a transaction off because of another one: sent again as a whole it will pass. Only where the role
/// or the database has another isolation level than `read committed` as its default.
pub(super) fn met_another(error: &StoreError) -> bool {
    matches!(below(error), Some(Error::Database(error)) if matches!(error.code().as_deref(), Some("40001" | "40P01")))
}

/// A row of the crate's own tables holds what the crate never wrote.
#[cfg_attr(not(feature = "idempotency"), allow(dead_code, reason = "records need it"))]
pub(super) const UNREADABLE: StoreError = StoreError::unreadable("a stored row cannot be read");

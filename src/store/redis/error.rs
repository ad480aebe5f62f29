use super::super::released::RELEASED;
use crate::error::StoreError;
use redis::{ErrorKind, RedisError};

/// Under the key lies a string that this crate did not write, or a newer version of it.
pub(super) const UNREADABLE: StoreError =
    StoreError::unreadable("under the key lies no record that this version of steadfast can read");

/// Under the key lies no string at all.
const ANOTHER_KIND: StoreError = StoreError::unreadable("under the key lies another kind of value");

/// In few words; the error itself is the `source()`. It holds what the server said, and no password: neither of the two
/// says one.
pub(super) fn store_error(error: RedisError) -> StoreError {
    let (of, what): (fn(&'static str) -> StoreError, _) = match (error.kind(), code(&error)) {
        (_, "UNREADABLE") => return UNREADABLE,
        (_, "RELEASED") => return RELEASED,
        _ if error.is_timeout() => (StoreError::new, "redis did not answer in time"),
        (ErrorKind::Io, _) if error.is_connection_refusal() => (StoreError::refused, "redis cannot be reached"),
        (ErrorKind::Io, _) => (StoreError::new, "the connection to redis broke"),
        (ErrorKind::InvalidClientConfig, _) => (StoreError::refused, "the address of redis cannot be used"),
        (ErrorKind::AuthenticationFailed, _) | (_, "NOAUTH" | "WRONGPASS" | "NOPERM") => {
            (StoreError::refused, "redis does not permit it")
        }
        (_, "OOM") => (StoreError::full, "redis is out of memory"),
        (_, "MISCONF") => (StoreError::refused, "redis cannot write to its disk"),
        (_, "NOREPLICAS") => (StoreError::refused, "redis has too few replicas"),
        (_, "WRONGTYPE") => return ANOTHER_KIND,
        (_, "READONLY") => (StoreError::refused, "this redis is a read-only replica"),
        (_, "LOADING") => (StoreError::refused, "redis is still loading its data"),
        (_, "MOVED" | "ASK") => {
            (StoreError::refused, "the key is on another node of the cluster: use a cluster connection")
        }
        _ => (StoreError::new, "redis failed"),
    };
    of(what).caused_by(error)
}

/// The first word of what the server said. Before Redis 7 what a command said inside a script stands at the end of what the
/// script says.
pub(super) fn code(error: &RedisError) -> &str {
    let inside = |detail: &'_ str| detail.rfind(": -").map(|at| at + ": -".len());
    match (error.code(), error.detail()) {
        (Some("ERR"), Some(detail)) => inside(detail).and_then(|at| detail[at..].split(' ').next()).unwrap_or("ERR"),
        (code, _) => code.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;

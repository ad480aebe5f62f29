use crate::error::StoreError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Under the key lies a string that this crate did not write, or a newer version of it.
pub(super) const UNREADABLE: StoreError =
    StoreError::new("under the key lies no record that this version of steadfast can read");

/// In few words; the error itself is the `source()`. It holds what the server said, and no password: neither of the two
/// says one.
pub(super) fn store_error(error: RedisError) -> StoreError {
    let what = match (error.kind(), error.code().unwrap_or_default()) {
        (_, "UNREADABLE") => return UNREADABLE,
        _ if error.is_timeout() => "redis did not answer in time",
        (ErrorKind::Io, _) if error.is_connection_refusal() => "redis cannot be reached",
        (ErrorKind::Io, _) => "the connection to redis broke",
        (ErrorKind::InvalidClientConfig, _) => "the address of redis cannot be used",
        (ErrorKind::AuthenticationFailed, _) | (_, "NOAUTH" | "WRONGPASS" | "NOPERM") => "redis does not permit it",
        (_, "OOM") => "redis is out of memory",
        (_, "MISCONF") => "redis cannot write to its disk",
        (_, "NOREPLICAS") => "redis has too few replicas",
        (_, "WRONGTYPE") => "under the key lies another kind of value",
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => "this redis is a read-only replica",
        (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => "redis is still loading its data",
        (ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask), _) => {
            "the key is on another node of the cluster: use a cluster connection"
        }
        _ => "redis failed",
    };
    StoreError::with_source(what, error)
}

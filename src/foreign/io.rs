use super::Kind;
use crate::error::known;
use std::{any::Any, error::Error, io};

pub(super) fn as_error(any: &dyn Any) -> Option<&(dyn Error + 'static)> {
    known::<tokio::time::error::Elapsed>(any)
}

pub(super) fn judge(error: &(dyn Error + 'static)) -> Option<Kind> {
    if error.is::<tokio::time::error::Elapsed>() {
        return Some(Kind::Timeout);
    }
    let error = error.downcast_ref::<io::Error>()?;
    match error.kind() {
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable => Some(Kind::NotConnected),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::NotConnected
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Some(Kind::Transient),
        io::ErrorKind::TimedOut => Some(Kind::Timeout),
        _ => None,
    }
}

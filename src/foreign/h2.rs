use super::{Client, Kind};
use crate::error::known;
use std::{any::Any, error::Error};

pub(super) fn as_error(any: &dyn Any) -> Option<&(dyn Error + 'static)> {
    known::<h2::Error>(any)
}

pub(super) fn client(error: &(dyn Error + 'static)) -> Option<Client> {
    error.is::<h2::Error>().then_some(Client::Hyper)
}

/// RFC 9113, 8.7: after `REFUSED_STREAM`, and on streams beyond the last one that a GOAWAY names, nothing was processed.
pub(super) fn judge(error: &(dyn Error + 'static)) -> Option<Kind> {
    let error = error.downcast_ref::<h2::Error>()?;
    let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM)
        || (error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR));
    Some(if refused { Kind::NotProcessed } else { Kind::Transient })
}

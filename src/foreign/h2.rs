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
    // h2 fails only the streams above the last one that a GOAWAY names with that GOAWAY (`proto/streams/streams.rs` of h2 0.4.20,
    // `recv_go_away`)
    let not_processed = match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) => !error.is_go_away(),
        Some(h2::Reason::NO_ERROR) => error.is_go_away() && error.is_remote(),
        _ => false,
    };
    Some(if not_processed { Kind::NotProcessed } else { Kind::Transient })
}

use super::Kind;
use crate::error::known;
use hyper_util::client::legacy;
use std::{any::Any, error::Error};

pub(super) fn as_error(any: &dyn Any) -> Option<&(dyn Error + 'static)> {
    known::<legacy::Error>(any).or_else(|| known::<hyper::Error>(any))
}

pub(super) fn judge(error: &(dyn Error + 'static)) -> Option<Kind> {
    if let Some(error) = error.downcast_ref::<legacy::Error>() {
        return error.is_connect().then_some(Kind::NotSent);
    }
    let error = error.downcast_ref::<hyper::Error>()?;
    Some(if error.is_canceled() || error.is_closed() {
        // hyper gives these only to requests that it hands back unsent
        Kind::NotSent
    } else if error.is_timeout() {
        Kind::Timeout
    } else if error.is_user() {
        Kind::Ours
    } else if error.is_parse() {
        Kind::Fault
    } else {
        Kind::Transient
    })
}

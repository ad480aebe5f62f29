use super::{Client, Kind};
use crate::error::known;
use std::{any::Any, error::Error};

pub(super) fn as_error(any: &dyn Any) -> Option<&(dyn Error + 'static)> {
    known::<reqwest::Error>(any)
}

pub(super) fn client(error: &(dyn Error + 'static)) -> Option<Client> {
    error.is::<reqwest::Error>().then_some(Client::Reqwest)
}

pub(super) fn judge(error: &(dyn Error + 'static)) -> Option<Kind> {
    let error = error.downcast_ref::<reqwest::Error>()?;
    // a connect timeout is both
    if error.is_connect() {
        Some(Kind::NotConnected)
    } else if let Some(status) = error.status() {
        Some(Kind::Status(status))
    } else if error.is_builder() || error.is_redirect() {
        Some(Kind::Unsendable)
    } else if error.is_timeout() {
        Some(Kind::Timeout)
    } else if error.is_body() || error.is_decode() {
        Some(Kind::Transient)
    } else {
        None
    }
}

//! The files of this folder asked one after the other; the first that knows the type answers.

use super::{Client, Kind, io};
use std::{any::Any, error::Error};

/// `any` as an error, if its type is one of an enabled foreign crate.
pub(crate) fn as_error(any: &dyn Any) -> Option<&(dyn Error + 'static)> {
    let found: Option<&(dyn Error + 'static)> = io::as_error(any);
    #[cfg(feature = "axum")]
    let found = found.or_else(|| super::axum::as_error(any));
    #[cfg(feature = "hyper")]
    let found = found.or_else(|| super::h2::as_error(any)).or_else(|| super::hyper::as_error(any));
    #[cfg(feature = "reqwest")]
    let found = found.or_else(|| super::reqwest::as_error(any));
    #[cfg(feature = "tonic")]
    let found = found.or_else(|| super::tonic::as_error(any));
    #[cfg(feature = "tower")]
    let found = found.or_else(|| super::tower::as_error(any));
    found
}

/// What this one error says, its sources apart. `None`: nothing that is known.
pub(crate) fn judge(error: &(dyn Error + 'static)) -> Option<Kind> {
    let kind = io::judge(error);
    #[cfg(feature = "hyper")]
    let kind = kind.or_else(|| super::h2::judge(error)).or_else(|| super::hyper::judge(error));
    #[cfg(feature = "reqwest")]
    let kind = kind.or_else(|| super::reqwest::judge(error));
    #[cfg(feature = "tonic")]
    let kind = kind.or_else(|| super::tonic::judge(error));
    #[cfg(feature = "tower")]
    let kind = kind.or_else(|| super::tower::judge(error));
    kind
}

/// The client that this one error belongs to, its sources apart. `None`: it belongs to none that is known.
pub(crate) fn client(error: &(dyn Error + 'static)) -> Option<Client> {
    let client = None;
    #[cfg(feature = "hyper")]
    let client = client.or_else(|| super::hyper::client(error)).or_else(|| super::h2::client(error));
    #[cfg(feature = "reqwest")]
    let client = client.or_else(|| super::reqwest::client(error));
    #[cfg(not(feature = "hyper"))]
    let _ = error;
    client
}

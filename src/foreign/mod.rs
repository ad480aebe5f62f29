//! What the errors of other crates say, one file a crate; knows nothing of this crate but the error module.

#[cfg(all(feature = "axum", feature = "idempotency"))]
mod axum;
#[cfg(feature = "hyper")]
mod h2;
#[cfg(feature = "hyper")]
mod hyper;
mod io;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "tonic")]
mod tonic;
#[cfg(feature = "tower")]
mod tower;

#[cfg(all(feature = "axum", feature = "idempotency"))]
pub(crate) use self::axum::original_uri;
#[cfg(feature = "tonic")]
pub(crate) use self::tonic::{Status, status};

use std::{any::Any, error::Error};

/// What an error of another crate says about the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request never reached the other side.
    NotSent,
    /// A timer of this side struck.
    Timeout,
    /// The connection or the answer broke.
    Transient,
    /// The other side broke the protocol, or something is wrong here.
    Fault,
    /// The request cannot be sent as it is.
    Unsendable,
    /// A middleware of this side said no.
    Refused,
    /// It says nothing of the other side (the caller's own body failed).
    Ours,
    /// A gRPC status, by its code.
    Grpc(i32),
}

/// `any` as an error, if its type is one of an enabled foreign crate.
pub(crate) fn as_error(any: &dyn Any) -> Option<&(dyn Error + 'static)> {
    let found: Option<&(dyn Error + 'static)> = io::as_error(any);
    #[cfg(feature = "hyper")]
    let found = found.or_else(|| hyper::as_error(any));
    #[cfg(feature = "reqwest")]
    let found = found.or_else(|| reqwest::as_error(any));
    #[cfg(feature = "tonic")]
    let found = found.or_else(|| tonic::as_error(any));
    #[cfg(feature = "tower")]
    let found = found.or_else(|| tower::as_error(any));
    found
}

/// What this one error says, its sources apart. `None`: nothing that is known.
pub(crate) fn judge(error: &(dyn Error + 'static)) -> Option<Kind> {
    let kind = io::judge(error);
    #[cfg(feature = "hyper")]
    let kind = kind.or_else(|| h2::judge(error)).or_else(|| hyper::judge(error));
    #[cfg(feature = "reqwest")]
    let kind = kind.or_else(|| reqwest::judge(error));
    #[cfg(feature = "tonic")]
    let kind = kind.or_else(|| tonic::judge(error));
    #[cfg(feature = "tower")]
    let kind = kind.or_else(|| tower::judge(error));
    kind
}

/// The URI as the client sent it, where a router has changed the request's own and says so.
#[cfg(all(not(feature = "axum"), feature = "idempotency"))]
pub(crate) fn original_uri(_: &http::Extensions) -> Option<&http::Uri> {
    None
}

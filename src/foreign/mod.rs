//! What the errors of other crates say, one file a crate; knows nothing of this crate but the error module.

mod all;
#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "webhook")]
mod body_limit;
#[cfg(feature = "hyper")]
mod h2;
#[cfg(feature = "hyper")]
mod hyper;
mod io;
mod kind;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "tonic")]
mod tonic;
#[cfg(feature = "tower")]
mod tower;
#[cfg(feature = "idempotency")]
mod uri;

#[cfg(feature = "hyper")]
pub(crate) use self::hyper::Capture;
#[cfg(feature = "tonic")]
pub(crate) use self::tonic::{Status, status};
pub(crate) use all::{as_error, client, judge};
#[cfg(feature = "webhook")]
pub(crate) use body_limit::extract_up_to;
pub(crate) use kind::{Client, Kind};
#[cfg(feature = "idempotency")]
pub(crate) use uri::original_uri;

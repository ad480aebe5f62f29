//! Bodies: sent again, watched to their end, read under a limit, or made here.
//!
//! | type | is |
//! | --- | --- |
//! | [`ReplayBody`] with [`tee`] | a request body that is copied while it streams, so that it can be sent again |
//! | [`FromReplay`] | a body type that such a copy can be turned back into: the request type in and out is the same |
//! | [`Watch`] | a response body that reports the outcome of the whole response |
//! | `Prefetch` (feature `retry`) | a response body of which some was read ahead |
//! | [`OrBody`] | the inner body, or one that a layer made |
//! | [`read`], [`read_within`] | a whole body, read under a limit of its length and [of its time](ReadTimeouts) that leaves the connection usable |
//! | [`VerifiedLimit`] | the limit under which a layer has read and verified the body of a request, for the layers further in |
//!
//! ```
//! use http_body_util::{BodyExt, Full};
//! use steadfast::body::{Caps, tee};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (first, copy) = tee(Full::new(bytes::Bytes::from("again")), &Caps::default(), true);
//! assert_eq!(first.collect().await?.to_bytes(), "again");
//! let second = copy.again().ok_or("nothing was kept")?;
//! assert_eq!(second.collect().await?.to_bytes(), "again");
//! # Ok(()) }
//! ```

mod collect;
mod failure;
mod from_replay;
mod grpc_frames;
mod grpc_web;
mod kept;
mod or_body;
#[cfg(feature = "retry")]
mod prefetch;
mod read_timeouts;
mod replay;
mod status_place;
mod timer;
mod upload;
mod verified_limit;
mod watch;

#[allow(unused_imports, reason = "not every feature has a layer that reads requests")]
pub(crate) use collect::read_request;
pub use collect::{Collected, Unread, read, read_within};
#[allow(unused_imports, reason = "as above")]
pub(crate) use failure::{Failure, announce_close};
pub use from_replay::FromReplay;
#[cfg(feature = "queue")]
pub(crate) use grpc_web::GrpcWeb;
pub use kept::Caps;
pub use or_body::OrBody;
#[cfg(feature = "retry")]
pub use prefetch::Prefetch;
#[cfg(feature = "retry")]
pub(crate) use prefetch::Seen;
pub use read_timeouts::ReadTimeouts;
pub use replay::{LetGo, ReplayBody, ReplayError, ReplayHandle, SourceLost, tee};
pub use verified_limit::VerifiedLimit;
pub use watch::Watch;

#![doc = include_str!("../../docs/outcomes.md")]

mod by_result;
mod classifier;
mod error;
mod folded;
mod grpc;
mod hint;
mod http;
mod origin;
#[cfg(any(feature = "circuit-breaker", feature = "retry"))]
mod origin_key;
mod outcome;
mod recorder;
mod status;

pub use by_result::ByResult;
pub use classifier::{Classify, Repeatable};
pub use error::of_error;
pub use grpc::of_grpc_code;
pub(crate) use grpc::{grpc_status, is_grpc};
pub use http::Http;
#[cfg(any(feature = "queue", feature = "reqwest", feature = "retry"))]
pub(crate) use http::awaits_trailers;
pub use origin::Origin;
#[cfg(any(feature = "circuit-breaker", feature = "retry"))]
pub(crate) use origin_key::OriginKey;
pub use outcome::{Failure, Outcome, Verdict};
pub use recorder::{Record, Recorder, Ticket};
pub use status::of_status;

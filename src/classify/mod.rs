#![doc = include_str!("../../docs/outcomes.md")]

mod by_error;
mod by_result;
mod capture;
mod classifier;
mod error;
mod evidence;
mod folded;
mod grpc;
mod hint;
mod http;
mod maybe_executed;
mod origin;
#[cfg(any(feature = "circuit-breaker", feature = "retry"))]
mod origin_key;
mod outcome;
mod rate_limit;
mod recorder;
#[cfg(any(feature = "queue", feature = "retry", feature = "circuit-breaker"))]
mod reported;
#[cfg(any(feature = "retry", feature = "circuit-breaker"))]
pub(crate) mod sent;
mod status;

pub use by_error::ByError;
pub use by_result::ByResult;
pub use capture::ConnectionCapture;
pub use classifier::{Classify, Repeatable};
pub use error::{of_error, of_error_with};
pub use evidence::Evidence;
pub use grpc::of_grpc_code;
pub(crate) use grpc::{GrpcFormat, PUSHBACK, grpc_status, of_grpc_status};
pub use http::Http;
#[cfg(any(feature = "queue", feature = "retry", feature = "circuit-breaker"))]
pub(crate) use maybe_executed::LastAttempt;
pub use maybe_executed::MaybeExecuted;
pub use origin::Origin;
#[cfg(any(feature = "circuit-breaker", feature = "retry"))]
pub(crate) use origin_key::OriginKey;
pub use outcome::{Failure, Outcome, Verdict};
pub use recorder::{Record, Recorder, Ticket};
#[cfg(feature = "queue")]
pub(crate) use reported::Reported;
#[cfg(any(feature = "retry", feature = "circuit-breaker"))]
pub(crate) use reported::{is_reported, report};
pub use status::of_status;

#![doc = include_str!("../../docs/outcomes.md")]

mod by_result;
mod classifier;
mod error;
mod grpc;
mod hint;
mod http;
mod outcome;
mod rate_limit;
mod recorder;
mod status;

pub use by_result::ByResult;
pub use classifier::{Classify, Repeatable};
pub use error::of_error;
pub use grpc::of_grpc_code;
pub(crate) use grpc::{GrpcFormat, PUSHBACK, grpc_status, is_grpc, of_grpc_status};
pub use http::Http;
#[cfg(feature = "reqwest")]
pub(crate) use http::host_and_port;
pub use outcome::{Failure, Outcome, Verdict};
pub use recorder::{Record, Recorder, Ticket};
pub use status::of_status;

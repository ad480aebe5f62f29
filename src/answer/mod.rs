//! How a layer says no by itself: it fails, or it answers.
//!
//! | mode | for | the error type | the answer |
//! | --- | --- | --- | --- |
//! | [`Fail`] | clients, any request type | becomes [`BoxError`](crate::error::BoxError) | an error with [`Refused`](crate::error::Refused) or [`Elapsed`](crate::timeout::Elapsed) in its chain |
//! | [`Respond`] | servers, `http::Request` in and `http::Response` out | stays what it is (`Infallible` in axum) | problem+json (RFC 9457) with `Retry-After`, or a `grpc-status` in the head for gRPC and gRPC-Web |
//!
//! A layer's `.respond()` goes from the first to the second. The answer carries `Refused` in its extensions, so that a retry
//! above sees a refusal and not a 503 of the other side.
//!
//! ```
//! use std::time::Duration;
//! use steadfast::timeout::TimeoutLayer;
//!
//! let for_a_client = TimeoutLayer::total(Duration::from_secs(30));
//! let for_a_server = TimeoutLayer::total(Duration::from_secs(30)).respond();
//! ```

mod fail;
mod problem;
mod respond;
mod strategy;

pub use fail::Fail;
pub(crate) use problem::Problem;
pub use respond::Respond;
pub use strategy::{Answer, Cause};

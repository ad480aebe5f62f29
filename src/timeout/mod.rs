//! Deadlines: one for the whole call, and one for each attempt that never outlives it.
//!
//! You want [`TimeoutLayer::total`] outside of everything and [`TimeoutLayer::attempt`] inside of retry. You do not want them to
//! bound how long a response *body* takes: both end when the head of the response is here.
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use steadfast::{error::find, timeout::{Elapsed, TimeoutLayer}};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let hangs = service_fn(|_: &'static str| std::future::pending::<Result<(), Infallible>>());
//! let client = ServiceBuilder::new().layer(TimeoutLayer::total(Duration::from_millis(1))).service(hangs);
//! let error = client.oneshot("hello").await.err().ok_or("it answered")?;
//! assert!(find::<Elapsed>(&*error).is_some());
//! # Ok(()) }
//! ```
//!
//! In an axum `Router` or a tonic server, `.respond()` makes the layer answer (504, or `DEADLINE_EXCEEDED`) where it would fail:
//! `TimeoutLayer::total(..).respond()`; see [`answer`](crate::answer).
//!
//! One call can have another time than the rest: `TimeoutLayer::total(..)` followed by [`per_call`](TimeoutLayer::per_call) reads
//! the time that the request carries, and [`per_call_of`](TimeoutLayer::per_call_of) asks a closure.
//!
//! | request | carries | effect with `per_call()`, and in `ClientStack` |
//! | --- | --- | --- |
//! | `http::Request` | [`CallTimeout`] in its extensions | in place of the layer's time, longer or shorter |
//! | `http::Request` of gRPC (also a server's) | `grpc-timeout` | shortens the call, never lengthens it |
//! | `reqwest::Request` | its own `timeout()` | in place of the layer's time, longer or shorter |
//!
//! The soonest deadline ends the call: a `grpc-timeout` before a longer `CallTimeout`, and a deadline of a layer above before either.
//!
//! | setting | default | why |
//! | --- | --- | --- |
//! | total | none; 30 s in `ClientStack` | what a person or an upstream waits |
//! | attempt | none; 10 s in `ClientStack` | leaves room for two more attempts |
//!
//! | error | means | what to do |
//! | --- | --- | --- |
//! | [`Elapsed`], `limit() == Limit::Total` | the whole call ran out of time after `attempts()` attempts | give up: the outcome is unknown |
//! | [`Elapsed`], `limit() == Limit::Attempt` | this attempt did | repeat it if it is repeatable |
//!
//! Guarantees. The deadline of the whole call travels to every layer below ([`Attempt::deadline`](crate::attempt::Attempt)):
//! retry never sleeps past it, and an attempt timeout that it cuts short reports `Total`. A nested total never moves the
//! deadline later. An answer that is ready in the same poll as the timer wins. A drop drops the call and the timer. Clones
//! share nothing. `poll_ready` is the inner service's, without a limit.
//!
//! Unlike `tower::timeout`: it says which deadline struck, tells the layers below, and can answer instead of failing.

mod error;
mod future;
pub(crate) mod grpc_timeout;
mod layer;
mod per_call;
mod service;

pub use error::{Elapsed, Limit};
pub use future::ResponseFuture;
pub use layer::TimeoutLayer;
pub use per_call::{Asked, CallTimeout, Fixed, InRequest, PerCall};
pub use service::Timeout;

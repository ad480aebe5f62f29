//! Sends a request a second time when the first answer is slow, and takes whichever is good first.
//!
//! You want it for reads from something of which a few answers take far longer than most. You do not want it where a slow
//! answer means that the other side has too much to do already: the budget stops it there, and a second attempt that never
//! wins is only load. Put it below a retry layer, above a timeout for each attempt.
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use std::{convert::Infallible, time::Duration};
//! use steadfast::retry::{RetryLayer, hedge::HedgeLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut calls = 0;
//! let hangs_once = service_fn(move |_: Request<Full<bytes::Bytes>>| {
//!     calls += 1;
//!     let hangs = calls == 1;
//!     async move {
//!         if hangs { std::future::pending::<()>().await }
//!         Ok::<_, Infallible>(Response::new("answer".to_owned()))
//!     }
//! });
//! let retry = RetryLayer::default();
//! let hedge = HedgeLayer::after_p95(Duration::from_millis(20)).with_budget(retry.budgets().clone());
//! let client = ServiceBuilder::new().layer(retry).layer(hedge).service(hangs_once);
//! assert_eq!(*client.oneshot(Request::get("/").body(Full::default())?).await?.body(), "answer");
//! # Ok(()) }
//! ```
//!
//! For any `Clone` request, after a fixed time:
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use steadfast::{classify::ByResult, retry::{CloneRequest, hedge::HedgeLayer}};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layer = HedgeLayer::new(Duration::from_millis(50)).with_strategies(ByResult, CloneRequest);
//! let inner = service_fn(async |n: u32| Ok::<_, Infallible>(n + 1));
//! assert_eq!(layer.layer(inner).oneshot(1).await?, 2);
//! # Ok(()) }
//! ```
//!
//! # States of a call
//!
//! | first attempt | second attempt | |
//! | --- | --- | --- |
//! | at work | waiting | until the delay is over; what the first one comes to until then comes out |
//! | at work | readying | the budget is charged; an answer of the first one gives it back |
//! | at work | at work | the first good answer comes out, and the other attempt is dropped |
//! | failed | at work | what the second one comes to comes out |
//! | at work | failed, or not made | what the first one comes to comes out |
//!
//! A *good* answer is a success or a rejection (a 404 says the same the second time); see [`classify`](crate::classify). A hedge
//! repeats no failure: that is for the retry layer above.
//!
//! # What is sent twice
//!
//! * Only what is [`Repeatable::Yes`](crate::classify::Repeatable): both attempts may be done. A request with an
//!   `Idempotency-Key` is sent once: while the first one is at work, the other side answers the second with a 409.
//! * Only what went out as a whole by then: of a body that still streams there is one source.
//! * Not what says [`NoRetry`](super::NoRetry).
//! * Only what the [`Budget`](super::Budget) gives; a second attempt costs 1. An empty budget stops no attempt that is at work.
//! * Nothing when less than 10 ms are left until the deadline.
//!
//! # Defaults
//!
//! | setting | default | |
//! | --- | --- | --- |
//! | delay | none: [`HedgeLayer::new`] or [`HedgeLayer::after_p95`] | |
//! | budget | its own, with [`Allowance::new`](super::Allowance) | hand it the one of the retry layer |
//! | kept of a request body | 64 KiB a request, 64 MiB a process | [`Caps`](crate::body::Caps) |
//!
//! # Errors
//!
//! None of its own. When both attempts failed, what the later one came to comes out. An error of readiness before the second
//! attempt is no outcome: the first attempt goes on alone.
//!
//! # Guarantees
//!
//! Clones of the layer, and all services that it makes, share the budget and what is known of the latency. `poll_ready` is the
//! inner service's; the instance that was made ready is the one that is called, and it is made ready again before the second
//! attempt. The inner service is cloned only where a second attempt is possible. A drop drops both attempts. The failed answer
//! of one attempt is dropped as soon as the other one is alone.
//!
//! The second [`Attempt`](crate::attempt::Attempt) has the next number, in the request as well (and
//! `grpc-previous-rpc-attempts`). The first one has that of the layers above: a retry layer *below* repeats it as it would
//! without a hedge, and leaves the second one alone.
//!
//! # Unlike `tower::hedge`
//!
//! It is charged to the retry budget; a first answer that is a failure does not win; it asks what may be sent twice; a streaming
//! body is never cut off; there is no lock and no rotating window to fill; the future is not boxed.
//!
//! # Seen from outside
//!
//! | event or metric | level or labels | |
//! | --- | --- | --- |
//! | `hedging` | INFO: `name`, `delay_ms`, `http.request.resend_count` | before each second attempt |
//! | [`steadfast_hedge_attempts_total`](crate::telemetry::names::HEDGE_ATTEMPTS) | `result`: `won`, `lost`, `failed`, `cancelled` | second attempts: `failed` where neither was good |
//! | [`steadfast_hedge_withheld_total`](crate::telemetry::names::HEDGE_WITHHELD) | `reason`: `budget`, `deadline`, `not_replayable`, `not_ready` | second attempts that were due and not made |
//!
//! In the [registry](mod@crate::registry) a layer is of the kind `hedge`, with `delay_ms`, and `budget_left` as that of a retry
//! layer.

mod delay;
mod future;
mod latency;
mod layer;
mod nested;
mod rank;
mod service;
mod shared;
mod tell;

pub use future::ResponseFuture;
pub use layer::HedgeLayer;
pub use service::Hedge;

//! Sends a request a second time when the first response is slow, and returns whichever good response comes first.
//!
//! Use it for reads from a server of which a few responses take far longer than most. Do not use it where responses are slow
//! because the server has too much to do: a second attempt that never wins is only load. A budget bounds that load, at 5 % of
//! successes by default. Put the layer below a retry layer and above a timeout for each attempt.
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
//! let hedge = HedgeLayer::after_p95(Duration::from_millis(20));
//! let client = ServiceBuilder::new().layer(RetryLayer::default()).layer(hedge).service(hangs_once);
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
//! | running | waiting | until the delay is over; the outcome of the first attempt until then is the outcome of the call |
//! | running | readying | the budget is charged; an outcome of the first attempt gives the permit back |
//! | running | running | the first good response is returned, and the other attempt is dropped |
//! | failed | running | the failure is held; the second attempt decides |
//! | running | failed | the failure is held; the first attempt decides |
//! | running | not made | the outcome of the first attempt is the outcome of the call |
//! | failed | failed | the better of the two failures is returned |
//!
//! A *good* response is a success, a rejection (a 404 is the same the second time) or any other response that is neither a failure
//! nor a refusal; see [`classify`](crate::classify). A hedge retries no failure: that is for the retry layer above.
//!
//! Of two failures the one that comes first in this list is returned, and of two that are alike the later one:
//!
//! 1. an overload (429, 503 with a hint): its hint is a time to retry;
//! 2. a transient failure or a fault (503, 500, a broken connection): a response before an error, one with a hint before one without;
//! 3. a timeout;
//! 4. an error that is no evidence about the server;
//! 5. a request that was never sent;
//! 6. a refusal of this process.
//!
//! So a call is never taken for *not sent* or *refused* where one of its attempts may have been executed.
//!
//! # Requests that are sent twice
//!
//! * Only a request that is [`Repeatable::Yes`](crate::classify::Repeatable): both attempts may be executed. A request with an
//!   `Idempotency-Key` is sent once: while the first one is at work, the server answers the second with a 409.
//! * Only a request that went out as a whole by then: of a body that still streams there is one source.
//! * No request that carries [`NoRetry`](super::NoRetry).
//! * Only while the [`Budget`](super::Budget) has hedges left; a second attempt costs 1. An empty budget stops no attempt that is running.
//! * No call that a hedge layer above may send twice: two layers make two attempts, not four. Each attempt of a retry layer above
//!   may be hedged, as far as the budget goes.
//! * Nothing when less than 10 ms are left until the deadline.
//!
//! # Defaults
//!
//! | setting | default | |
//! | --- | --- | --- |
//! | delay | none: [`HedgeLayer::new`] or [`HedgeLayer::after_p95`] | |
//! | budget | its own: 5 % of successes, 10 to start with, at most 10 saved | [`Allowance::for_hedges`](super::Allowance::for_hedges) |
//! | memory for copies of request bodies | 64 KiB a request, 64 MiB a process | [`Caps`](crate::body::Caps) |
//!
//! The budget decides whether a slow server becomes a dead one. In `tests/storm`, ten servers run at 89 % of their capacity and a
//! quarter of the calls is slower than a fixed delay: without hedges 100 % of the callers are served, with a budget of 20 % (that of
//! a retry layer) 56 %, with the default of 5 % 100 %, and after the p95 100 %. Above 95 % of the capacity even 5 %
//! is more than the servers can do. [`with_budget`](HedgeLayer::with_budget) shares the budget of a retry layer: then hedges can use all of
//! it, so share it only where the delay is the p95 or the servers have room for 20 % more.
//!
//! # Errors
//!
//! None of its own. When both attempts failed, the better outcome is returned. An error of readiness before the second attempt is
//! no outcome: its permit goes back at once, and the first attempt goes on alone.
//!
//! # Guarantees
//!
//! Clones of the layer, and all services that it makes, share the budget and the estimate of the latency. `poll_ready` is the
//! inner service's; the instance that was made ready is the one that is called, and it is made ready again before the second
//! attempt. The inner service is cloned only where a second attempt is possible. A drop drops both attempts
//! and a failure that is held. A failed response is held until the other attempt ends, which was called already and needs nothing
//! that it holds.
//!
//! The second [`Attempt`](crate::attempt::Attempt) has the next number, in the request as well (and
//! `grpc-previous-rpc-attempts`). The first one has that of the layers above: a retry layer *below* repeats it as it would
//! without a hedge, and leaves the second one alone.
//!
//! # Unlike `tower::hedge`
//!
//! It has a budget; a first answer that is a failure does not win; it sends only a repeatable request twice; a streaming
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

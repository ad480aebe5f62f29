//! Repeats what is safe to repeat, when it makes sense, and not more often than the other side can bear.
//!
//! You want it around every client that crosses a network. You do not want it where another tier repeats already (a queue's
//! worker, a gateway): attempts multiply. Below another retry layer of this crate it makes one attempt and leaves the rest to
//! that one.
//!
//! ```
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use steadfast::retry::{Attempts, RetryLayer, Stop};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut calls = 0;
//! let flaky = service_fn(move |_: Request<Full<bytes::Bytes>>| {
//!     calls += 1;
//!     let status = if calls < 3 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
//!     std::future::ready(Response::builder().status(status).body(String::new()).map_err(|e| e.to_string()))
//! });
//! let client = ServiceBuilder::new().layer(RetryLayer::default().with_name("payments")).service(flaky);
//! let response = client.oneshot(Request::get("/").body(Full::default())?).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//! let attempts = Attempts::of(response.extensions()).ok_or("at once")?;
//! assert_eq!((attempts.made(), attempts.stop()), (3, Stop::Succeeded));
//! # Ok(()) }
//! ```
//!
//! What most users change is how often and how long, here for any `Clone` request and an error type of their own:
//!
//! ```
//! use std::time::Duration;
//! use steadfast::{backoff::Exponential, retry::{RetryLayer, StandardPolicy}};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let backoff = Exponential::new(Duration::from_millis(1), Duration::from_millis(5))?;
//! let policy = StandardPolicy::new().with_max_retries(4).with_backoff(backoff).with_faults();
//! let mut calls = 0;
//! let inner = service_fn(move |n: u32| {
//!     calls += 1;
//!     std::future::ready(if calls < 5 { Err("not yet") } else { Ok(n) })
//! });
//! assert_eq!(RetryLayer::by_result(policy).layer(inner).oneshot(7).await, Ok(7));
//! # Ok(()) }
//! ```
//!
//! # States of a call
//!
//! <!-- picture -->
//! ```text
//! Calling ──► (Settling) ──► decide ──► response dropped ──► Sleeping ──► Readying ──┐
//!    ▲                         └──► the last outcome, as it came                     │
//!    └───────────────────────────── permit spent ◄──────────────────────────────────┘
//! ```
//!
//! *Settling* is there only with [`RetryLayer::read_ahead`]. To *decide* is to ask the [`Policy`], then the deadline, then the
//! [`Budget`], then the [`Replay`], all while the response is still held: where one of them says no, it goes to the caller.
//!
//! # What is repeated
//!
//! The table of outcomes is that of [`classify`](crate::classify). Besides:
//!
//! * A request that is not repeatable is sent again once if it was never sent, and after a refusal of this process. Both need
//!   [proof](crate::classify#when-never-sent-has-proof): a connect error or a refusal is about one hop, and a client that follows
//!   redirects may have had an earlier one. reqwest gives none, so build its client with `redirect::Policy::none()` and say so
//!   with [`without_redirects`](RetryLayer::without_redirects).
//! * A hint (`Retry-After` and its like) is a floor, on top of which the backoff comes. One that is longer than its cap, or a
//!   wait that reaches the deadline, ends the call at once, with the answer that is there.
//! * gRPC pushback is the delay itself, and can forbid the repeat. A repeated gRPC request carries
//!   `grpc-previous-rpc-attempts`. A `grpc-timeout` is the deadline of the whole call (gRFC A6): attempts share it, and each
//!   carries the time that is left.
//! * A request that says [`NoRetry`], or cannot be made again, is sent once, untouched. One that says [`MaxRetries`] has its own
//!   number of retries; for requests without extensions that can be reached (reqwest's), see
//!   [`max_retries_of`](RetryLayer::max_retries_of). How long it may take: [`CallTimeout`](crate::timeout::CallTimeout).
//!
//! # Across tiers
//!
//! Three tiers with four attempts each call a dead leaf 64 times for one request, unless each but the lowest knows that the one
//! below has repeated already. In one process [`Attempt`](crate::attempt::Attempt) tells: below a retry layer another one makes
//! a single attempt. Between processes an answer does, with `x-should-retry: false`:
//!
//! * Every retry layer heeds it: a failure that says so is not repeated ([`Stop::Pushback`]). With
//!   [`RetryLayer::with_marker`] it heeds another header, with [`RetryLayer::without_marker`] none.
//! * A server that calls others says it with a [`MarkerLayer`]: on its failing answers, where a retry layer below gave up after
//!   repeats, or at once because the budget was empty or the other side said so. The answer itself may be the handler's own.
//!
//! So the lowest tier repeats, which is nearest to the fault, and the leaf is called four times. The price: where the fault
//! comes and goes, a tier above might have got through. Nothing is said in the request, since a tier above cannot know
//! beforehand whether it will repeat.
//!
//! ```
//! # use steadfast::retry::MarkerLayer;
//! use axum::{Router, routing::get};
//!
//! let server: Router = Router::new().route("/", get(|| async { "calls others" })).layer(MarkerLayer::new());
//! ```
//!
//! # Defaults
//!
//! | setting | default | why |
//! | --- | --- | --- |
//! | retries | 2 | three attempts get through a restart; more only add load |
//! | backoff | 100 ms doubling to 20 s, full jitter, floor 25 ms | [`Exponential::default`](crate::backoff::Exponential) |
//! | longest hint | 60 s | who has to wait longer should know |
//! | longest refusal | 5 s | well below the deadline of a call |
//! | faults (500, unknown errors) | not repeated | the same request mostly fails again |
//! | budget | 20 % of successes, 10 to start with, at most 100, one in 2 s besides; a repeat after a timeout costs 2 | see [`Budget`] |
//! | memory for copies of request bodies | 64 KiB a request, 64 MiB a process | [`Caps`](crate::body::Caps) |
//! | read ahead | nothing | it delays the head |
//! | marker | `x-should-retry` is heeded | nobody says it who does not mean it |
//! | least time left after a wait | 10 ms | an attempt that cannot end is only load |
//!
//! # Errors
//!
//! The last outcome comes out: the response of the last attempt, its error, or the error of a service that was not ready again.
//! With one exception: where an earlier attempt may have been executed, a refusal or a failed connect of the last one comes out
//! as [`MaybeExecuted`](crate::classify::MaybeExecuted), with the outcome and the status of the earlier one. As it is, it would
//! prove to a layer further out that nothing was sent. This holds for services whose error is a
//! [`BoxError`](crate::error::BoxError) or an `io::Error`; the error type of a client itself comes out unchanged.
//!
//! # Guarantees
//!
//! Clones of the layer, and all services that it makes, share the budget and one stream of chance. `poll_ready` is the inner
//! service's, and the instance that was made ready is the one that is called. Nothing is held while a call waits for its next
//! attempt: the inner service is replaced by a clone before the wait, which gives back the place of a limit that a layer below
//! has reserved and not used, and is made ready after it. The inner service is cloned only where a repeat is possible. The
//! response of an attempt is dropped before the wait. A drop ends the call in every state; a permit that was not spent goes
//! back. A call that succeeds at once takes no lock (with one budget), reads no clock and allocates only what [`Replay`] keeps.
//!
//! [`Attempt`](crate::attempt::Attempt) has the number of the attempt for every layer below. Calls that run beside each other, or
//! one after another, in one handler or under one deadline are not nested: each has its own attempts. A repeated `http::Request` has it
//! in its extensions too; the first attempt has not, since that would cost allocations that most calls do not need.
//!
//! What has to be new in every attempt (a signature, a date, a trace context) is made by
//! [`with_prepare`](RetryLayer::with_prepare), or by a layer below, `map_request` for one: both see each attempt as a fresh copy
//! of the request, with the same `Idempotency-Key`.
//!
//! A request that is slow and not failed is sent a second time by a [hedge layer](hedge) below, which has a budget of its own.
//!
//! # Unlike `tower::retry`
//!
//! It knows hints, deadlines and the last attempt; its jitter differs from call to call; its budget is exact and is funded by
//! successes; a body that streams can be sent again; a discarded response is never held during a wait.
//!
//! # Seen from outside
//!
//! | event or metric | level or labels | |
//! | --- | --- | --- |
//! | `trying again` | INFO: `name`, `reason`, `delay_ms`, `http.request.resend_count` | before each repeat |
//! | `gave up` | WARN: `name`, `reason`, `outcome`, `http.request.resend_count` | a failure after repeats, or one that could not be repeated |
//! | [`steadfast_retry_calls_total`](crate::telemetry::names::RETRY_CALLS) | `result`: an outcome, or `cancelled` | ends of calls |
//! | [`steadfast_retry_retries_total`](crate::telemetry::names::RETRY_RETRIES) | `reason`: an outcome | attempts after the first |
//! | [`steadfast_retry_given_up_total`](crate::telemetry::names::RETRY_GIVEN_UP) | `reason`: a [`Stop`] | failures that came out |
//! | [`steadfast_retry_delay_seconds`](crate::telemetry::names::RETRY_DELAY) | | waits |
//! | [`steadfast_retry_attempts`](crate::telemetry::names::RETRY_ATTEMPTS) | | attempts a call took |
//!
//! In the [registry](mod@crate::registry) a layer is of the kind `retry`, with `budget_left`: whole retries, of the poorest
//! budget where there are several.

mod account;
mod allowance;
mod attempts;
mod budget;
mod budgets;
mod clone_request;
mod course;
mod executed;
mod fund;
mod future;
mod gave_up;
pub mod hedge;
mod http_replay;
mod layer;
mod marker;
mod max_retries;
mod no_retry;
mod policy;
mod prepared;
mod read_ahead;
mod replay;
mod service;
mod settle;
mod shared;
mod standard;
mod stop;
mod tell;
#[cfg(feature = "tower")]
mod turn;

pub use allowance::Allowance;
pub use attempts::Attempts;
pub use budget::{Budget, Permit};
pub use budgets::Budgets;
pub use clone_request::CloneRequest;
#[cfg(feature = "tower")]
pub(crate) use executed::disclose;
pub use fund::Fund;
pub use future::ResponseFuture;
#[cfg(feature = "reqwest")]
pub(crate) use http_replay::BodyCopy;
pub use http_replay::{HttpHandle, HttpReplay};
pub use layer::RetryLayer;
pub use marker::{Marker, MarkerFuture, MarkerLayer};
pub use max_retries::{Limited, MaxRetries};
pub use no_retry::NoRetry;
pub use policy::{Decision, Finished, Policy};
pub use prepared::Prepared;
pub use read_ahead::ReadAhead;
pub use replay::Replay;
pub use service::Retry;
pub use settle::{HeadOnly, Settle};
pub use standard::StandardPolicy;
pub use stop::Stop;
#[cfg(feature = "tower")]
pub(crate) use turn::Turn;

//! Tower middleware for integrations that don't fail.
//!
//! > A call that can be repeated safely is repeated wisely; one that cannot is never repeated by accident. What was accepted is
//! > never lost, is done once, and what cannot be done ends where a person can see it and send it again.
//!
//! Every part is a [`tower::Layer`](https://docs.rs/tower/latest/tower/trait.Layer.html), or the `Service` at the end of a stack.
//! Each works alone, and works without an adapter over `reqwest::Client` and hyper-util's client, in `axum::Router`, and over
//! tonic's clients and servers. Where you want all that a client needs, it is one line:
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use steadfast::{idempotency::IdempotencyKeyLayer, retry::Attempts, stack::ClientStack};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! // in place of a real client: away at first, then well
//! let mut keys = Vec::new();
//! let payments = service_fn(move |request: Request<Full<Bytes>>| {
//!     keys.push(request.headers()["idempotency-key"].clone());
//!     let status = if keys.len() < 2 { 503 } else { 200 };
//!     assert!(keys.iter().all(|key| *key == keys[0]));
//!     std::future::ready(Response::builder().status(status).body(Full::<Bytes>::default()))
//! });
//!
//! let client = ServiceBuilder::new()
//!     .layer(ClientStack::new("payments").with_idempotency_keys(IdempotencyKeyLayer::new()))
//!     .service(payments);
//!
//! let charge = Request::post("https://payments.example.com/charges").body(Full::from("5 EUR"))?;
//! let answer = client.oneshot(charge).await?;
//! assert_eq!(answer.status(), 200);
//! assert_eq!(Attempts::of(answer.extensions()).map(|attempts| attempts.made()), Some(2));
//! # Ok(()) }
//! ```
//!
//! By hand the order is this one; [what goes wrong in another](stack#the-order-of-the-layers) is written down, with a test each.
//!
//! <!-- order -->
//! ```text
//! total deadline > idempotency key > retry > circuit breaker (per origin) > attempt timeout > client
//! ```
//!
//! # Modules
//!
//! | the patterns | | feature |
//! | --- | --- | --- |
//! | [`stack`] | all that a client needs, in the right order | the next three |
//! | [`retry`] | repeats what is safe to repeat, with jitter, the server's hints and a budget | `retry` |
//! | [`circuit_breaker`] | stops calling what does not answer, and finds out when it does again | `circuit-breaker` |
//! | [`idempotency`] | servers: done once, answered again; clients: one key for all attempts | `idempotency` |
//! | [`timeout`] | a deadline for the call, one for each attempt | |
//! | [`queue`] | on disk before the answer, done later, done or seen | `queue` |
//! | [`dead_letter`] | what could not be done: looked at, sent again | `queue` |
//! | [`webhook`] | verified before anything reads them; signed for those who do | `webhook` |
//!
//! | what they stand on | |
//! | --- | --- |
//! | [`classify`] | what a status, a gRPC code or an error means: one table for all patterns |
//! | [`answer`] | how a layer says no: an error in a client, an answer in a server |
//! | [`error`](mod@error) | what this side can fail with, and how a cause is found again |
//! | [`attempt`] | number and deadline of a call, for every layer below |
//! | [`backoff`] | how long to wait |
//! | [`body`] | bodies that are sent again, watched, or read under a limit |
//! | [`setting`] | values that are checked when they are made |
//! | [`dedupe`] | keys by which a delivery is known again |
//! | [`time`] | the clock for dates |
//!
//! | around them | |
//! | --- | --- |
//! | [`store`] | where records and messages live: in memory, in SQLite, in Postgres; records in Redis |
//! | [`place`] | what reqwest, axum and tonic need |
//! | [`registry`](mod@registry) | everything that has a name and a state, for health checks and operators |
//! | [`telemetry`] | the names of events and metrics |
//! | [`testing`] | a service to script, a clock to set, contract suites for stores (feature `testing`) |
//! | [`guide`] | recipes, and what to do about an error |
//!
//! # Features
//!
//! `default` is `retry`, `circuit-breaker`, `idempotency` and `tracing`; `full` is all but `testing`. One feature for each pattern
//! (`queue`, `webhook`), each store (`sqlite`, `postgres`, `redis`), each place (`reqwest`, `axum`, `tonic`, `hyper`, `tower`), and
//! `serde`, `metrics`,
//! `tracing`. What each brings stands in a
//! [table of the README](https://github.com/steadfast-rs/steadfast#features). Features only add.
//!
//! # Guarantees
//!
//! Those of each part are in its own module. All of them keep these:
//!
//! * A request that is not repeatable (POST without a key, PATCH) is sent a second time only when it never reached the other side.
//! * The response, request and error types that go in come out: layers have no type parameter for them. A body that has to be
//!   watched is wrapped, and what a client layer refuses is a `BoxError`; both are named in the module's docs.
//! * The instance that was polled ready is the one that is called. State is made with the layer: clones, and all services that it
//!   makes, share it. `Send` and `Sync` are the inner service's.
//! * A future that is dropped ends what it began and gives back what it held; only a handler behind an idempotency key goes on.
//! * Time is tokio's, so that tests can pause it; the wall clock is read for dates only.
//! * Settings that would be wrong cannot be made, so a layer cannot fail to build. There is no `unsafe`. No key, body or secret is
//!   in a log, a label or a `Debug`.
//!
//! # To read
//!
//! [The order of the layers](stack#the-order-of-the-layers) ·
//! [what every outcome means](classify#http-status) ·
//! [recipes](guide::recipes): reqwest through the stack, one shutdown ·
//! [troubleshooting](guide::troubleshooting): compiler errors, and what is seen at run time
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod answer;
pub mod attempt;
pub mod backoff;
pub mod body;
#[cfg(feature = "circuit-breaker")]
pub mod circuit_breaker;
pub mod classify;
#[cfg(feature = "queue")]
pub mod dead_letter;
pub mod dedupe;
#[cfg(any(feature = "idempotency", feature = "queue"))]
mod encoding;
pub mod error;
mod foreign;
pub mod guide;
#[cfg(feature = "idempotency")]
pub mod idempotency;
mod panic;
pub mod place;
#[cfg(feature = "queue")]
pub mod queue;
#[cfg(any(feature = "idempotency", feature = "webhook"))]
mod readied;
pub mod registry;
#[cfg(feature = "retry")]
pub mod retry;
pub mod setting;
#[cfg(all(feature = "retry", feature = "circuit-breaker", feature = "idempotency"))]
pub mod stack;
pub mod store;
#[cfg(any(feature = "circuit-breaker", feature = "idempotency", feature = "queue", feature = "testing"))]
mod sync;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod timeout;
#[cfg(any(feature = "idempotency", feature = "queue"))]
mod token;
#[cfg(feature = "webhook")]
pub mod webhook;

pub use registry::registry;

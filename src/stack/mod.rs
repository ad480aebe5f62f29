//! The layers of a client in the order that is right, in one line.
//!
//! <!-- order -->
//! ```text
//! total deadline > idempotency key > retry > circuit breaker (per origin) > attempt timeout > client
//! ```
//!
//! You want [`ClientStack`] around every client of another service. You do not want it in front of your own server (there the
//! layers answer: `.respond()`), nor twice around one client.
//!
//! ```
//! use reqwest::{Method, Request};
//! use steadfast::stack::ClientStack;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url: reqwest::Url = format!("http://{}/charges/1", listener.local_addr()?).parse()?;
//! # tokio::spawn(axum::serve(listener, axum::Router::new().route("/charges/1", axum::routing::get(|| async { "5 EUR" }))).into_future());
//! let mut client = ServiceBuilder::new().layer(ClientStack::new("payments")).service(reqwest::Client::new());
//! let request = Request::new(Method::GET, url); // such as https://payments.example.com/charges/1
//! let charge = client.ready().await?.call(request).await?.text().await?;
//! assert_eq!(charge, "5 EUR");
//! # Ok(()) }
//! ```
//!
//! The change that most make: their own deadlines, and keys for requests that are not idempotent, where the other side honours
//! an `Idempotency-Key`.
//!
//! ```
//! use std::time::Duration;
//! use steadfast::{idempotency::IdempotencyKeyLayer, stack::ClientStack};
//!
//! let payments = ClientStack::new("payments")
//!     .with_total(Duration::from_secs(10))
//!     .with_attempt(Duration::from_secs(3))
//!     .with_idempotency_keys(IdempotencyKeyLayer::new());
//! ```
//!
//! # Below a queue's worker
//!
//! A worker retries by itself. [`ClientStack::for_delivery`] is the stack below it: circuit and attempt timeout, without retry and
//! without a total deadline. [`without_retry`](ClientStack::without_retry) and [`without_total`](ClientStack::without_total) leave
//! out the one or the other. Both compose with idempotency keys, and make a [`DeliveryClient`].
//!
//! # One call
//!
//! Every override reaches its layer through the stack:
//!
//! | to change | in an `http::Request` | in a `reqwest::Request` | for a clone of the client |
//! | --- | --- | --- | --- |
//! | the deadline of the call | [`CallTimeout`](crate::timeout::CallTimeout) | its own `timeout()` | [`Client::with_timeout`] |
//! | and of a gRPC call | `grpc-timeout`, if that is sooner | | |
//! | the number of retries | [`MaxRetries`](crate::retry::MaxRetries), [`NoRetry`](crate::retry::NoRetry) | none: reqwest gives no access to extensions | [`Client::with_max_retries`], [`Client::without_retries`] |
//! | whether a POST is repeatable | an `Idempotency-Key` header | the same | |
//!
//! Of several deadlines the soonest ends the call, those of layers above included. A request's own number of retries goes before its
//! client's. An override is for that call: calls that a handler makes in it have their own settings, but no later deadline.
//!
//! # Defaults
//!
//! | part | default | why |
//! | --- | --- | --- |
//! | total deadline | 30 s | what a person or an upstream waits |
//! | idempotency key | none is added | a key that the other side ignores would make a POST look repeatable, and do it twice |
//! | retry | [`RetryLayer::default`](crate::retry::RetryLayer): 2 retries | |
//! | circuit breaker | [`Config::default`](crate::circuit_breaker::Config), a circuit for each origin | one that is down does not close the way to the others |
//! | attempt timeout | 10 s | leaves room for two more attempts |
//! | `for_delivery` | circuit breaker and attempt timeout as above; no key, retry or total deadline | the worker has its own |
//!
//! What comes out is a [`Client`]: `Client<reqwest::Client>` is a name short enough for a field of axum's `State`. A stack with
//! other parts is a stack of another type, so a part that does not fit is a compile error.
//!
//! # Errors
//!
//! The error is a [`BoxError`](crate::error::BoxError): the client's own, or with
//! [`Refused`](crate::error::Refused) (open circuit) or [`Elapsed`](crate::timeout::Elapsed) (a deadline) in its chain;
//! [`find`](crate::error::find) looks for them.
//!
//! # Guarantees
//!
//! Clones, and what one stack makes of several clients, share the budget and the circuits. `poll_ready` is the client's own. A
//! drop of the response future drops the attempt under way and every timer, and gives back what it held.
//!
#![doc = include_str!("../../docs/ordering.md")]

mod client;
mod client_stack;
mod overrides;
mod retries;

pub use client::{Client, DeliveryClient};
pub use client_stack::ClientStack;
use overrides::Overrides;

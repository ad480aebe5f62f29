//! Webhooks that are checked before anything reads them: a layer for receivers, and signatures for senders.
//!
//! You want it in front of everything that takes webhooks. You do not want it for callers that can hold a token or a
//! certificate: a signature over a body says who wrote it, and not who sends it.
//!
//! ```
//! use http_body_util::Full;
//! use steadfast::{queue::Queue, store::memory::MemoryStore, webhook::{GitHub, Secret, VerifyLayer}};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let github = GitHub::new(Secret::new("It's a Secret to Everybody")?);
//! let queue = Queue::new("github", MemoryStore::new());
//! let receiver = ServiceBuilder::new().layer(VerifyLayer::new(github.clone())).service(queue.accept());
//!
//! let body = bytes::Bytes::from("Hello, World!");
//! let request = http::Request::post("/").header("x-hub-signature-256", github.sign(&body)).body(Full::new(body))?;
//! assert_eq!(receiver.clone().oneshot(request).await?.status(), 202);
//!
//! let forged = http::Request::post("/").body(Full::new(bytes::Bytes::from("Hello, World!")))?;
//! assert_eq!(receiver.oneshot(forged).await?.status(), 401);
//! # Ok(()) }
//! ```
//!
//! Most users change the secret some day: for a while both are right.
//!
//! ```
//! use steadfast::webhook::{GitHub, Secret};
//!
//! # fn main() -> Result<(), steadfast::setting::Invalid> {
//! let github = GitHub::new(Secret::new("the new one")?).or(Secret::new("the old one")?);
//! # Ok(()) }
//! ```
//!
//! | answer | when |
//! | --- | --- |
//! | the inner service's | the signature is right |
//! | 400 | the body broke off |
//! | 401 | the signature is missing, malformed or does not match, or its timestamp is too far from now |
//! | 408 | the body stopped for 10 s, or took longer in all than the [`ReadTimeouts`](crate::body::ReadTimeouts) allow |
//! | 413 | the body is longer than the limit, or than that of a layer further out (`RequestBodyLimitLayer` of tower-http) |
//!
//! Every no is problem+json (RFC 9457), says no more than the sender knows, and leaves an HTTP/1 connection usable, or announces its end
//! (`Connection: close`) where a part of the body stays unread.
//!
//! | scheme | header | signed | dedupe key |
//! | --- | --- | --- | --- |
//! | [`GitHub`] | `X-Hub-Signature-256: sha256=<hex>` | the body only; no timestamp | `X-GitHub-Delivery`, within the hook where its id is sent; the digest of the body only where asked for |
//! | your own | [`Scheme`] | | |
//!
//! | setting | default | unit, range |
//! | --- | --- | --- |
//! | `with_limit` | 1 MiB; 25 MiB for GitHub | bytes that are read before anything is known of the sender |
//! | `with_read_timeouts` | 10 s without data; in all 30 s and 1 s per 64 KiB received | [`ReadTimeouts`](crate::body::ReadTimeouts), from 1 ms |
//! | `with_clock` | the system's | for schemes with a timestamp |
//! | `with_name` | the scheme's | label of metrics |
//! | `with_source` | one source for each secret | within which dedupe keys are known |
//! | [`GitHub::with_digest`] | off | up to 1 h: a body that was seen within this time is a duplicate, whatever its id |
//!
//! # Sources
//!
//! A dedupe key is known within its source, so receivers with different secrets may share a queue although their senders use the
//! same ids. By default each secret is a source of its own; stores keep a [tag](Secret::tag) of it. While a secret is changed, a
//! delivery has a key for each secret, and one that was accepted under the old secret stays known.
//! Keep the old secret for as long as its sender repeats deliveries, or name the source by
//! [`VerifyLayer::with_source`]: then secrets may change at any time.
//!
//! A delivery that is sent again is a duplicate for as long as the queue knows its keys
//! ([`Accept::with_dedupe_for`](crate::queue::Accept::with_dedupe_for)), also after its message is done. If its message died and
//! was purged, the delivery is accepted as a new one.
//!
//! [`GitHub::with_digest`] is against replay: GitHub does not sign its ids, so a delivery that was read on its way could be sent
//! again under another id. It takes different deliveries with the same body for one, so its window is short and it is off by default.
//!
//! Errors. The layer has none: the inner service's comes out unchanged, so a route of axum stays infallible. [`Secret::new`] refuses an
//! empty secret ([`Invalid`](crate::setting::Invalid)).
//!
//! Guarantees. The raw bytes are checked, of any encoding, and the same bytes are passed on; nothing is passed on before the whole body was
//! verified. Comparing takes a time that does not depend on how much of a signature is right. The request that is passed on has
//! [`Verified`] and [`DedupeKeys`](crate::dedupe::DedupeKeys) in its extensions; a queue's `accept()` reads the latter. A verified request has the
//! limit in its extensions as well ([`VerifiedLimit`](crate::body::VerifiedLimit)), so that `accept()`, `IdempotencyLayer` and the extractors of
//! axum further in take what was verified, whatever their own limits are. `poll_ready` is the inner service's. A body that is there at once goes
//! to the instance that was ready. While a body is waited for, that instance is dropped in exchange for a clone, so that a slow caller holds no
//! place of a limit below; the clone is polled until it is ready once the delivery is verified, and an error of that readiness is the call's error.
//! Dropping the call drops the body or the inner call. Clones share the scheme. Secrets print as `***`.
//!
//! Unlike the senders' own libraries: it is a layer, the body may be any bytes, several secrets may be right at once, and what is known again is
//! said where deduplication can use it.
//!
//! | metric | label | |
//! | --- | --- | --- |
//! | `steadfast_webhook_deliveries_total` | `result`: `verified`, `missing`, `malformed`, `mismatch`, `out_of_time`, `too_large`, `too_slow`, `broken` | deliveries that the layer saw |
//!
//! Event: DEBUG `delivery refused` with name, scheme and result. It is no warning, since anybody can cause it.

mod error;
mod future;
mod layer;
mod scheme;
mod secret;
mod service;
mod sign;
mod verified;

pub use error::Unverified;
pub use future::ResponseFuture;
pub use layer::VerifyLayer;
pub use scheme::{GitHub, Scheme};
pub use secret::Secret;
pub use service::Verify;
pub use verified::Verified;

//! Idempotency keys: a request that is sent again is done once, and answered again.
//!
//! You want it on a server whose POST must not happen twice: payments, orders, anything that sends. You do not want it on
//! endpoints that stream for ever, or in place of a unique constraint where the data has a natural key. Without a shared store
//! it knows only the requests of its own process.
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use bytes::Bytes;
//! use steadfast::{
//!     idempotency::{IdempotencyLayer, Scope},
//!     store::memory::MemoryStore,
//! };
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[derive(Clone)] struct Account(String);
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! // who is calling: put there by the layer that authenticates, outside of this one
//! let account = Scope::by(|request| request.extensions.get::<Account>().map_or(String::new(), |account| account.0.clone()));
//! let server = ServiceBuilder::new()
//!     .layer(IdempotencyLayer::new(MemoryStore::new(), account))
//!     .service(service_fn(|_: Request<Full<Bytes>>| async {
//!         Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from("paid")))
//!     }));
//!
//! let pay = || Request::post("/payments").header("idempotency-key", "8e03978e-40d5").body(Full::from("5 EUR"));
//! let first = server.clone().oneshot(pay()?).await?;
//! let again = server.oneshot(pay()?).await?; // the handler does not run
//! assert!(!first.headers().contains_key("idempotent-replayed"));
//! assert_eq!(again.headers()["idempotent-replayed"], "true");
//! # Ok(()) }
//! ```
//!
//! Most servers also refuse requests that bring no key, and say where keys are explained:
//!
//! ```
//! # use steadfast::{idempotency::{IdempotencyLayer, Scope}, store::memory::MemoryStore};
//! let layer = IdempotencyLayer::new(MemoryStore::new(), Scope::shared())
//!     .required()
//!     .with_help("https://example.com/docs/idempotency");
//! ```
//!
//! In axum it goes into `Router::layer` or `route_layer`, in tonic into `Server::layer`, both as it is. hyper's `Incoming`
//! cannot be made again after it was read: `ServiceBuilder::map_request(|r: Request<Incoming>| r.map(axum::body::Body::new))`
//! outside.
//!
//! With [`InFlight::Wait`] a request that comes while its key is at work waits for the answer of the first, and with
//! [`OnUnknown::Ask`] a hook finds out what a process that died has done:
//!
//! ```
//! # use std::time::Duration;
//! # use steadfast::{idempotency::{IdempotencyLayer, InFlight, OnUnknown, Recovered, Scope}, store::memory::MemoryStore};
//! let layer = IdempotencyLayer::new(MemoryStore::new(), Scope::shared())
//!     .with_in_flight(InFlight::Wait { at_most: Duration::from_secs(10) })
//!     .with_on_unknown(OnUnknown::ask(|_unknown| async { Recovered::Unknown }));
//! ```
//!
//! # States of a key
//!
//! <!-- picture -->
//! ```text
//!                 begin                      complete                    keep is over
//!   (free) ------------------> running ----------------> completed ------------------> (free)
//!      ^                       |     ^                   answer, or "not retained"
//!      |  NotExecuted, or a    |     |                       ^
//!      |  transaction that was |     | take over: Rerun, or  |
//!      +-- rolled back --------+     | Ask: it was not done  | Ask: it was done,
//!                              v     |                       | and this is the answer
//!                              lapsed: the outcome is unknown
//!                              (or the owner is heard of again, and it is running as before)
//! ```
//!
//! # What the caller sees when
//!
//! | the key | answer | `Retry-After` | gRPC | what to do |
//! | --- | --- | --- | --- | --- |
//! | is new | the handler's | | | |
//! | is completed | the handler's, with `idempotent-replayed: true` | | | stop, also after a 5xx: this key always gets it |
//! | is running | 409 `request in flight` | 1 | ABORTED | the same again |
//! | is running, and [`InFlight::Wait`] is set | the handler's, with `idempotent-replayed: true`, once it is there; else the 409 | | | |
//! | was used for another method, target, content type or body | 422 `idempotency key in use for another request` | | `INVALID_ARGUMENT` | mend the client |
//! | is completed, its answer was over the limit, broke off, or was a 101 | 409 `answer not retained` | | `FAILED_PRECONDITION` | ask what was done |
//! | lapsed | 409 `outcome unknown`, or a new run, or what the hook found as a replay | | `FAILED_PRECONDITION` | ask what was done |
//! | is malformed, or there more than once | 400 `malformed idempotency key` | | `INVALID_ARGUMENT` | mend the client |
//! | is missing where one is required | 400 `idempotency key missing` | | `INVALID_ARGUMENT` | mend the client |
//! | came with a body over the limit | 413 `request too large` | | `RESOURCE_EXHAUSTED` | mend the client |
//! | came with a body that stopped, or took too long in all | 408 `request body too slow` | | `UNAVAILABLE` | the same again |
//! | came while the store was down | 503 `idempotency store unavailable` | 1 | UNAVAILABLE | the same again |
//! | is completed, its record cannot be read here (another seal, a newer version, damage) | 503 `idempotency record unreadable` | 1 | UNAVAILABLE | the same again; never run again |
//! | came to a handler that panicked, or an inner error, before | 500 `handler panicked`, `handler failed`, replayed | | INTERNAL | ask what was done |
//! | came to a handler that said yes after a rollback | 500 `transaction rolled back` | | INTERNAL | the same again |
//!
//! Refusals are problem details (RFC 9457) with a `Link` to the help page, or a status where the caller speaks gRPC. GET, HEAD,
//! OPTIONS and TRACE pass untouched, as do requests without a key where none is required.
//!
//! # The run
//!
//! The key is claimed once the whole body is here, so who breaks off has done nothing. From then on the run belongs to no
//! caller: it is polled once in place and, if it waits, detached into a task that [`IdempotencyLayer::drained`] waits for. A
//! caller who hangs up undoes nothing. The task has the tracing span of its caller, and none of its task-locals.
//!
//! Every answer is recorded, whatever its status; a panic and an inner error as a 500 (and passed on as they are). Only
//! [`NotExecuted`] frees the key, and nothing is read into headers. The answer streams while it is recorded; its last frame
//! waits for the record (at most `hold`), so that a repeat right after it is never a conflict. A replay has the status, the
//! body, the trailers, and the headers but for `Set-Cookie`, `Date` and those of the connection. A 204 and a 304 end with their head: a
//! body is not waited for. The handler of a keyed request finds `Accept-Encoding: identity` where its client accepts more, since the
//! answer is replayed to other clients: compression belongs outside of this layer, and what commits after the handler inside.
//!
//! The handler finds its [`Claim`] in the request's extensions (with the feature `axum` it is an extractor): key and attempt,
//! from which it derives the keys of its own calls, so that these too are the same in every run.
//!
//! A process that dies leaves a claim that lapses. Nobody knows what it did, so by default its key is refused from then on
//! ([`OnUnknown::Fail`]). [`OnUnknown::Ask`] asks somebody who knows, by the key that the run has derived for its own call
//! ([`Claim::derive`]); `examples/recovery.rs` does. A run that lost its claim to another gives its caller the other's answer, never
//! its own. A handler that can stop half way awaits [`Claim::lost`]: another run has the key, or the store was away for a lease, or
//! the claim was renewed for as long as it may be (`with_renew_for`).
//!
//! The inner service is not kept ready while a request waits for its body, for the store, for another request or for a hook: a
//! `concurrency_limit` below the layer has its place back meanwhile, and a clone of the service is polled until it is ready before
//! the handler is called. If that readiness fails, the caller gets its error and the key is free; a caller that leaves before there
//! is a place has executed nothing, and its key is free too.
//!
//! A claim that was taken over from a run of unknown outcome is never freed by a request that executed nothing, also not by
//! [`NotExecuted`]: it lapses, so that the next request finds an unknown outcome again, and the run after it knows of the first.
//!
//! A claim whose handler never began is no unknown outcome: when the store did not answer `begin` in time, the claim is given back as
//! soon as the store answers. From then on, as after [`NotExecuted`], the store lets no `begin` of that claim take the key, however late
//! it comes. A store that refused (it is full, read-only, or was never reached) has nothing to give back.
//!
//! # Sweeping
//!
//! Expired records are removed by a task behind the requests: within half a second of the first run of a process, then after every
//! 250 runs and every 10 s while requests come, and for as long as batches of 500 come back full. Neither an answer nor
//! [`drained`](IdempotencyLayer::drained) waits for it. All layers over one store share it in a process, also those that are made for
//! each request. A store that is full is swept before a request is refused, and asked once more. An answer that a full store
//! does not take within about two seconds is recorded as not retained: its request is not executed again, and a repeated one is
//! refused.
//!
//! # gRPC
//!
//! The key is in the metadata. Unary calls are what it is for. What a server streams passes as it comes, and is kept if it ends
//! within the limit. What a client streams is read to its end first, as one request under the limits of length and time (a client that
//! pauses for longer than 10 s needs `with_read_timeouts`): a call in which both sides
//! talk in turn must carry no key, since its handler would not run before the client has ended. Calls without a key pass untouched,
//! whichever way they stream.
//!
//! # What is stored, and what is seen
//!
//! Of the request: SHA-256 hashes of caller and key, and of what was asked, never the key or the body. Of the answer: status,
//! headers, body and trailers; sealed, where the layer has a [`Seal`] (`examples/sealed_answers.rs`). Bodies are bounded by
//! `with_response_limit`, headers and trailers together by [`StoredResponse::FIELD_LIMIT`]; what is longer is recorded as not
//! retained. A key has at most 255 characters. A scope of any length is hashed and not kept. Neither keys, bodies, scopes nor tokens
//! are in events, metrics or `Debug`.
//!
//! # In the handler's own transaction
//!
//! A store that shares a database with the business data completes the claim in the transaction of the handler: then both are
//! there, or neither. The layer asks what became of it before it answers. Rolled back although the handler says 2xx, the answer
//! is a 500 and the key is free: all effects must have been in that transaction. Where the store does not say, a yes becomes
//! 503 and the same key is told the truth later.
//!
//! # Clients
//!
//! [`IdempotencyKeyLayer`], outside of retry, gives each unsafe request a random key of 128 bits unless it has one in the header,
//! or in the extensions (an [`IdempotencyKey`], random or [derived](IdempotencyKey::derive) from a message and its epoch), so that all
//! attempts and hedges carry the same. A retry layer below takes a 409 with `Retry-After` as the same again after that; every other
//! 409, a 422 and whatever is replayed as stop.
//!
//! # Defaults
//!
//! | setting | default | why |
//! | --- | --- | --- |
//! | scope | none: it is an argument | the wrong one shows answers to strangers |
//! | `with_lease` | 30 s, at least 30 ms | how long a crash blocks its key; renewed at a third while the handler runs |
//! | `with_renew_for` | 1 h, at least a lease | longer than any handler; one that hangs does not hold its key for ever |
//! | `with_keep` | 24 h from completion, not sliding | longer than clients retry |
//! | `with_request_limit` | 1 MiB, or the limit under which a layer further out [verified](crate::body::VerifiedLimit) the body, if that is larger | it is held in memory, for the fingerprint |
//! | `with_read_timeouts` | 10 s without data; in all 30 s and 1 s per 64 KiB received | a caller that stops sending must not occupy a connection for ever; see [`ReadTimeouts`](crate::body::ReadTimeouts) |
//! | `with_response_limit` | 1 MiB, and 64 KiB of headers and trailers | it is stored |
//! | `with_hold` | 2 s | how long a caller waits for one answer of the store; `begin` is tried twice |
//! | `with_in_flight` | [`InFlight::Refuse`] | who waits takes a connection |
//! | `with_max_waiting` | 1000 a layer | each holds its body |
//! | `with_on_unknown` | [`OnUnknown::Fail`] | money is not sent twice |
//! | `with_fail_open` | off: 503 | money is not sent twice |
//! | `with_seal` | none | |
//! | `with_required` | no method | keys can be introduced step by step |
//! | `with_strict_keys` | off | most clients send the bare form |
//! | `with_name` | `"idempotency"` | in metrics, events, the registry |
//!
//! [`Config`] has all of these but scope, seal and name, for files too (feature `serde`).
//!
//! # Guarantees
//!
//! All services of one layer, and clones of both, share store, settings, name and tasks; a clone of another name shares the tasks, so
//! that `drained` of each waits for all. Applied twice with one store, the
//! inner layer passes the request on. `poll_ready` is the inner service's, and the instance that is called is one that was
//! ready; it is not held ready while a request waits. Leases and expiry are by the store's clock. `begin` is repeated with the same token when its reply is lost, so that
//! this is no conflict with oneself; a claim whose reply never came is given back. Who waits and leaves has claimed nothing and costs
//! nothing. A record that the store does not take is
//! tried again in the background for as long as the process lives, and the key is never freed for it. The layer needs a tokio
//! runtime with time enabled.
//!
//! Sources: draft-ietf-httpapi-idempotency-key-header for the header, its errors and 409 and 422; Stripe's API for the recording
//! of every answer. The draft says nothing of replays' headers, leases, limits or crashes.
//!
//! # Telemetry
//!
//! | name | kind | labels besides `name` |
//! | --- | --- | --- |
//! | `steadfast_idempotency_requests_total` | counter | `result`: what a keyed request came to, one of those below |
//! | `steadfast_idempotency_refusals_total` | counter | `reason`: `missing`, `malformed`, `too_large`, `too_slow`, `broken_off`, `in_flight`, `unknown`, `mismatch`, `not_retained`, `store_down`, `unreadable`, `failed`, `panicked`, `rolled_back`, `cut_off` |
//! | `steadfast_idempotency_failed_open_total` | counter | `reason`: `store_down` |
//! | `steadfast_idempotency_begin_seconds`, `_complete_seconds` | histogram | |
//! | `steadfast_idempotency_running` | gauge | `state`: `running` |
//!
//! | `result` | the request |
//! | --- | --- |
//! | `first` | ran, and its caller got what it came to |
//! | `replay` | was answered from the record, or with what a hook found |
//! | `conflict` | 409: the key was at work, or of unknown outcome |
//! | `mismatch` | 422 |
//! | `refused` | 400, 408, 413: no key, a malformed one, a body that is too long, too slow, or broke off |
//! | `store_error` | 503: the store did not say what it has; or the request ran without a claim (`with_fail_open`) |
//! | `lease_lost` | ran, and its claim was another's when it ended |
//! | `not_retained` | 409: done before, its answer was not kept |
//!
//! Events (target `steadfast`): a store that is down at begin or at complete, a claim that was lost or is renewed no longer, a run
//! that is repeated, a hook that takes too long (all WARN); a handler or a hook that panicked, an answer that cannot be sealed, a
//! record that cannot be read (ERROR). In the registry the kind is `idempotency`, the state `running` (handlers), `waiting`
//! (requests that wait for another) and `tasks` (detached, those that still record included).

mod body;
mod caller;
mod claim;
mod config;
mod error;
mod fingerprint;
mod future;
mod given_up;
mod in_flight;
mod inject;
mod job;
mod key;
mod layer;
mod ledger;
mod pause;
mod pump;
mod record;
mod recover;
mod refusal;
mod runs;
mod scope;
mod seal;
mod service;
mod sf_string;
mod start;
mod state;
mod store;
mod sweep;
mod tasks;
mod turn;

pub use crate::token::{StoreId, Token};
pub use body::IdempotencyBody;
pub use claim::{Claim, NotExecuted};
pub use config::Config;
pub use error::{ClaimLost, MalformedKey};
pub use fingerprint::{Fingerprint, StoreKey};
pub use future::ResponseFuture;
pub use in_flight::InFlight;
pub use inject::{CarryKey, IdempotencyKeyLayer, IdempotencyKeys};
pub use key::IdempotencyKey;
pub use layer::IdempotencyLayer;
pub use record::StoredResponse;
pub use recover::{OnUnknown, Recover, Recovered, Unknown};
pub use scope::Scope;
pub use seal::Seal;
pub use service::Idempotency;
pub use store::{Begin, Begun, Fence, Fenced, IdempotencyStore, Recorded};

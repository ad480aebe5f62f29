//! A durable queue between what is accepted and what is done: any `Service` at its end, any client stack behind it.
//!
//! You want it where an answer must not wait for the work, and the work must not be lost: webhooks, mails, calls to a system
//! that is sometimes away. You do not want it where the caller needs the result in the answer (that is
//! a retry's place), or to hand data between two parts of one process (a channel does that).
//!
//! ```
//! use std::convert::Infallible;
//! use steadfast::{queue::{Message, NewMessage, Queue, Worker}, store::memory::MemoryStore};
//! use tower::service_fn;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let queue = Queue::new("mails", MemoryStore::new());
//! queue.enqueue(NewMessage::new("hello").with_dedupe("welcome-7")).await?;
//!
//! let send = service_fn(|message: Message| async move {
//!     println!("{:?}", message.body());
//!     Ok::<_, Infallible>(())
//! });
//! let shutdown = async {
//!     // here: until the work is done; in a service: until a signal
//!     while queue.stats().await.is_ok_and(|stats| stats.open() > 0) {
//!         tokio::task::yield_now().await;
//!     }
//! };
//! Worker::new(queue.clone(), send).run(shutdown).await;
//! assert_eq!(queue.stats().await?.done, 1);
//! # Ok(()) }
//! ```
//!
//! Most users change what does the work: [`Deliver`] sends messages through a client stack.
//!
//! ```
//! use http_body_util::Full;
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use steadfast::{queue::{Deliver, Queue, ToHttp, Worker}, store::memory::MemoryStore};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let crm: http::Uri = format!("http://{}/orders", listener.local_addr()?).parse()?;
//! # tokio::spawn(axum::serve(listener, axum::Router::new().route("/orders", axum::routing::post(|| async {}))).into_future());
//! let queue = Queue::new("orders", MemoryStore::new());
//! # queue.enqueue(steadfast::queue::NewMessage::new("order 7")).await?;
//! # let orders = queue.clone();
//! let client = Client::builder(TokioExecutor::new()).build_http();
//! let deliver = Deliver::new(client, ToHttp::<Full<bytes::Bytes>>::new(crm)); // its address: a `Uri`
//! let worker = Worker::new(queue, deliver).with_concurrency(32).with_max_attempts(20);
//! # tokio::spawn(async move {
//! #     while orders.stats().await.is_ok_and(|stats| stats.done == 0) { tokio::task::yield_now().await; }
//! #     std::process::Command::new("sh").args(["-c", "kill -INT $PPID"]).status()
//! # });
//! worker.run(async { let _ = tokio::signal::ctrl_c().await; }).await;
//! # Ok(()) }
//! ```
//!
//! # One place retries
//!
//! The worker retries, over hours and across restarts. A retry layer below it multiplies requests: three attempts of the worker
//! would be nine requests, and a circuit that opens between them hides the response that the server gave. So put
//! `ClientStack::for_delivery` around the client: a circuit for each server and a timeout for each attempt, but no retry and no
//! total deadline, since the worker has one. Then three attempts are three requests, and the history has the status of each:
//!
//! <!-- order -->
//! ```text
//! Worker > Deliver > ClientStack::for_delivery("crm") > client without redirects
//! ```
//!
//! Where a retry is in the way all the same (`ClientStack::new`, or a retry of another crate) and ends with a refusal or a failed
//! connect after an attempt that reached the server, that attempt counts, with its outcome and status. The layers report it in the
//! worker's task: not across a `tower::buffer`, the worker of a tonic `Channel`, or a spawn.
//!
//! # A message's life
//!
//! <!-- picture -->
//! ```text
//!                       +---------------- redrive ----------------+
//!                       v                                         |
//!  enqueue -> Scheduled / Ready -> Claimed ----------------------> Dead
//!                ^   ^     ^          | attempt + 1                 reason: exhausted, rejected, crashed,
//!                |   |     |          |                                     expired, undecodable
//!                |   |     |          +-> Done
//!                |   |     +- lapsed -+
//!                |   +-- backoff -----+   tried again: the attempt stays counted
//!                +------ Parked <-----+   never sent, refused, or the server is overloaded: the attempt is handed back
//! ```
//!
//! A message ends as done or as a dead letter ([`dead_letter`](crate::dead_letter)); there is no third end. What an attempt came
//! to decides ([`classify`](crate::classify)):
//!
//! | outcome | the message is | waits for | counts |
//! | --- | --- | --- | --- |
//! | `Success` | done | | |
//! | `Failure(NotSent)`, from [`Deliver`] | parked | the backoff by the number of such deliveries, at least 1 s | no |
//! | `Failure` of any other kind but `Overloaded`; `NotSent` from any other service | tried again; after the last attempt dead, `exhausted` | the backoff by the number of the attempt, or the hint if that is longer | yes |
//! | `Failure(Overloaded)` | parked | the hint; without one between half of `park_for` and all of it | no |
//! | `Refused` | parked | the same, and without a hint the backoff by the number of refusals if that is longer, at most 10 min | no |
//! | `Refused` or `NotSent` after an attempt of the same call that may have been executed | as that attempt | | as that attempt |
//! | `Rejected` | dead, `rejected`; with [`Undecodable`] `undecodable` | | |
//! | `Ignored` | parked | between half of `park_for` and all of it | no |
//! | the other side forbids another attempt (gRPC pushback) | dead, `exhausted` | | |
//! | a panic of the call, its future or its error | as `Failure(Fault)` | | yes |
//! | longer than the attempt limit | as `Failure(Timeout)` | | yes |
//! | the process died, or the lease was lost | claimed again when its lease lapses; after the last attempt dead, `crashed` | the lease | yes |
//! | older than its greatest age | dead, `expired` | | |
//!
//! Deliveries that were never sent and refusals have a counter each, in the store beside the number of attempts
//! ([`Message::not_sent`], [`Message::refused`], and the same in a [`DeadLetter`]): an outage uses no attempts, however long it is,
//! until the message is too old. A message is `exhausted` only after as many requests as it has attempts. "Never sent" is believed
//! of [`Deliver`] alone, which makes one call and nothing else: a handler may have charged a card before its last call failed to
//! connect.
//!
//! Hints are waited for in full; up to a tenth more, and at most a second, spreads those who were told the same moment. An exact hint
//! (gRPC pushback) is waited for exactly. No wait outlasts a message's greatest age.
//!
//! # Accept
//!
//! [`Queue::accept`] is the `Service` at the end of a server's stack (`axum::Router::route_service`, or a hyper server with any
//! request body): it reads the body under a limit, stores it, and answers.
//!
//! | answer | when |
//! | --- | --- |
//! | 202 `{"id":".."}` | it is stored, durably if the store is |
//! | 202 `{"id":"..","duplicate":true}` | one of its dedupe keys is known: nothing was stored, the id is the first one's |
//! | 400 | the body broke off |
//! | 405 with `Allow` | any method but POST, unless [`Accept::with_methods`] allows it: nothing is stored |
//! | 408 | the body stopped for 10 s, or took longer in all than the [`ReadTimeouts`](crate::body::ReadTimeouts) allow |
//! | 413 | the body is longer than the limit, or than that of a layer further out |
//! | 500 | a closure of yours panicked (`with_topic`, `with_dedupe` and the like): nothing is stored |
//! | 503 with `Retry-After` | the store failed, or did not answer within the deadline (3 s from the end of the body); never a success |
//!
//! Every refusal is problem+json (RFC 9457) and leaves an HTTP/1 connection usable, or announces its end (`Connection: close`) where a
//! part of the body stays unread. Dedupe keys are the
//! [`DedupeKeys`](crate::dedupe::DedupeKeys) that a layer before it put into the request (as
//! `VerifyLayer` of the feature `webhook` does), else the `webhook-id`. A key is known within its queue and its message's
//! destination: the messages of a fan-out have one key.
//!
//! Stored with the message are `content-type`, `content-encoding`, `content-language`, `user-agent`, `traceparent`, `tracestate`,
//! `webhook-id`, `webhook-timestamp`, `x-gitlab-event`, `x-shopify-{topic,shop-domain,event-id,webhook-id,triggered-at}`, and what begins
//! with `x-github-` or `ce-`. Never `Authorization`, `Cookie`, what is marked as sensitive, or what has `signature`, `token`, `secret` or `hmac` in
//! its name. [`Accept::with_headers`] chooses otherwise.
//!
//! A request that is dropped (the sender hangs up) while the store commits may be stored all the same, and so may one that was answered
//! 503 because its deadline was over: the sender repeats it, and its key makes it a duplicate. Without a key it is a second message.
//!
//! # Delivery
//!
//! [`Deliver`] makes a request of each message ([`ToHttp`], `ToReqwest` in [`place::reqwest`](crate::place), or any closure), sends it through any
//! client stack, and reads the answer to its end, at most 1 MiB of it. It is judged by the tables in
//! [`classify`](crate::classify), with one difference: a redirect is `Rejected`, since a destination that moved needs a person. `ToHttp` and
//! `ToReqwest` send the body, `Content-*`, `traceparent`, `tracestate`, and an `Idempotency-Key` that is the same in every
//! attempt, and another one after a redrive of what was refused for certain. The first bytes of an answer that says no are kept in the
//! message's history: bodies of answers should hold no secrets.
//!
//! **Build the client so that it follows no redirects** (reqwest: `redirect::Policy::none()`; hyper-util's client follows none). A
//! client that follows them hands the message's body to whatever address the destination names, turns a POST into a GET after a 302
//! or 303, and brings back the 200 of a login page. With reqwest, `Deliver` compares the address of the response with the one of the
//! request, without fragments: if they differ, the message is dead as `rejected`. That the body went to another address cannot be
//! undone. The responses of other clients do not carry an address that `Deliver` knows (tower-http's `FollowRedirect` puts one into
//! the extensions, under a type of its own): below a worker, leave that layer out. `Deliver` takes a failed connect for "never sent",
//! which is right only if there was no hop before it.
//!
//! # Defaults
//!
//! | setting of [`Worker`] | default | unit, range |
//! | --- | --- | --- |
//! | `with_concurrency` | 4 for each core | messages, 1 to 1,048,576; a claim takes at most 256 |
//! | `with_lease` | 30 s | 100 ms to a day; extended every third |
//! | `with_max_attempts` | 25 | attempts, at least 1, the first included; with the default backoff over more than 24 h |
//! | `with_backoff` | 1 s doubling to 4 h, equal jitter | of 20,000 simulated runs the shortest lasts 26 h: an outage of a day is ridden out |
//! | `with_attempt_limit` | 60 s | the whole attempt, reading the answer included |
//! | `with_park_for` | 30 s | after a no that does not say until when |
//! | `with_drain` | 30 s | after shutdown |
//! | `with_keep_done` | 24 h | what is done stays in the store for so long; removed when a worker starts, every minute, and when it stops |
//!
//! | setting of [`Accept`] | default | |
//! | --- | --- | --- |
//! | `with_limit` | 1 MiB, or what `VerifyLayer` [verified](crate::body::VerifiedLimit), if that is larger | bytes of a body |
//! | `with_read_timeouts` | 10 s without data; in all 30 s and 1 s per 64 KiB received | [`ReadTimeouts`](crate::body::ReadTimeouts), from 1 ms |
//! | `with_deadline` | 3 s | the wait for the store; Slack expects a response in that time |
//! | `with_methods` | POST | safe methods are never accepted |
//! | `with_retry_after` | 5 s | when the store failed |
//! | `with_dedupe_for` | 7 days | senders repeat for days; kept after the message is done, forgotten when it is purged |
//!
//! | setting of [`NewMessage`] | default | |
//! | --- | --- | --- |
//! | `with_max_age` | 7 days | from the end of its delay, whatever it waits for |
//! | `with_dedupe_for` | 7 days | |
//!
//! # What is removed, and by whom
//!
//! | rows | removed |
//! | --- | --- |
//! | done messages | by a worker of their queue, when they have been done for longer than its `with_keep_done` |
//! | dedupe keys | by a worker of their queue, when their window is over; with the dead letter that brought them, when it is purged |
//! | dead letters | by a [purge](crate::dead_letter::DeadLetters::purge) alone |
//!
//! A worker removes rows of its own queue and of no other one: when it starts, about once a minute, and when it stops. **Rows of a
//! queue for which no worker runs any more stay in the store.** After a tenant with a queue of its own has left, these are
//! the messages that were done in the last 24 h and the keys of 7 days, with the defaults. Where names of queues come and go, have a
//! task that sweeps the old names:
//!
//! ```
//! # async fn docs(store: steadfast::store::memory::MemoryStore) -> Result<(), steadfast::error::StoreError> {
//! use std::time::Duration;
//! use steadfast::queue::Queue;
//!
//! let queue = Queue::new("tenant 4711, who has left", store);
//! while queue.store().sweep(queue.name(), Duration::ZERO, 1_000).await? > 0 {}
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! | error | means | what to do |
//! | --- | --- | --- |
//! | [`StoreError`](crate::error::StoreError) of `enqueue` | not stored, or stored and the answer was lost | enqueue again, with a dedupe key |
//! | [`Undecodable`] | a service's word for a body that is not what it should be | mend the sender, then redrive |
//!
//! A worker has no error: a store that fails makes it pause (100 ms doubling to 2 s), and so does a service that cannot become ready.
//! A panic never ends it. In `poll_ready`, or when the service is cloned, it is a service that cannot become ready: nothing is
//! claimed, and a fresh clone is asked after the pause. A panic of a drop is ignored, one of a store is an error of the store, one
//! of a backoff is replaced by the default backoff, and a shutdown signal that panics is a shutdown.
//!
//! # Guarantees
//!
//! * Delivery is at least once. It is once for a receiver that knows the message's
//!   [`idempotency_key`](Message::idempotency_key) again.
//! * The attempt is counted when a message is claimed, so a crash, an abort and a lost machine count: a message that kills its
//!   worker ends as `crashed`.
//! * Nothing is claimed before an instance of the service is ready for it, and the readied instance is the one that is called: that
//!   which became ready first goes first, and those that are not needed are dropped before. An idle worker holds no readiness, and
//!   one whose store is slow holds it for 1 s: a limit that others share is free. Messages that come later than that and find no
//!   instance ready within a third of the lease go back, with their attempt.
//! * A lease is extended for as long as the work, the drain, and the telling of the outcome go on. Work whose lease was lost is
//!   dropped. A store that does not answer cancels nothing.
//! * A settle is repeated until the store answers; what was claimed anew in the meantime is refused to the stale worker by row, attempt and
//!   token.
//! * Shutdown: nothing more is claimed, what was claimed and not begun goes back with its attempt, what runs ends under the drain limit, the
//!   rest is dropped and counts. Dropping the future of [`Worker::run`] drops the work at once.
//! * [`Attempt::current`](crate::attempt::Attempt::current) has the attempt limit as its deadline in the service and its layers.
//! * Clones of a [`Queue`] are the same queue. Messages of one queue may overtake each other.
//!
//! # Unlike the others
//!
//! `tower::buffer` holds requests in memory and forgets them with the process; this holds messages in a store. Job runners hold a
//! lease by worker name and wait out a backoff in a worker's place; here each message has its own fenced lease, and waits in the store.
//!
//! # What can be seen
//!
//! | metric | label | |
//! | --- | --- | --- |
//! | `steadfast_queue_enqueued_total` | `result`: `new`, `duplicate`, `unstored` | messages offered |
//! | `steadfast_queue_attempts_total` | `outcome` | attempts that ended |
//! | `steadfast_queue_attempt_seconds` | | how long they took |
//! | `steadfast_queue_dead_total` | `reason` | messages that a worker gave up |
//!
//! Events of `tracing` (target `steadfast`): DEBUG each attempt; WARN `message is dead`, `lease lost`, the first enqueue that the store did
//! not take (DEBUG for those after it, INFO once messages are stored again), a step that failed (claim, settle, sweep, extending leases,
//! readying the service) once for each change of its error, with an INFO when it no longer fails, a drain that reached its limit; ERROR a
//! panic of a closure, a backoff or the shutdown signal. Bodies are in none of them; errors, which may quote an answer, are.
//!
//! The registry lists a queue (kind `queue`) with what this process did (`enqueued_total`, `duplicates_total`, `unstored_total`, `running`,
//! `done_total`, `retried_total`, `parked_total`, `dead_total`, `lease_lost_total`) and the states that the last [`Queue::stats`] found.

mod accept;
mod answer;
mod config;
mod counters;
mod dedupe_key;
mod deliver;
mod error;
mod handle;
mod history;
mod letter;
mod message;
mod report;
mod store;
mod to_http;
mod worker;

pub use crate::token::{StoreId, Token};
pub use accept::Accept;
pub use answer::ReadAnswer;
pub use deliver::{Deliver, MakeRequest};
use error::NeverSent;
pub use error::Undecodable;
pub use handle::Queue;
pub use history::{Attempted, Reason};
pub use letter::{DeadLetter, Filter};
pub use message::{Lease, Message, MessageId, NewMessage};
pub use report::{IntoReport, Report};
pub use store::{Claim, Enqueued, LeaseLost, QueueStore, Settle, Stats};
pub use to_http::ToHttp;
#[cfg(feature = "reqwest")]
pub(crate) use to_http::headers;
pub use worker::Worker;

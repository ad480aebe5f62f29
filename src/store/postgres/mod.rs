//! Postgres: records and queues that several machines share, in the user's own transaction if wanted.
//!
//! You want it where the service keeps its data in Postgres already: the record of a request can then be committed together
//! with what the request did, and so can the messages that go out because of it. You do not want it for speed alone: every new request costs two statements, one of them a commit
//! that writes to disk.
//!
//! <!-- snippet: postgres-layer -->
//! ```no_run
//! use steadfast::{idempotency::IdempotencyLayer, store::postgres::PostgresStore};
//!
//! # async fn example(url: &str) -> Result<IdempotencyLayer, Box<dyn std::error::Error>> {
//! let pool = PostgresStore::pool_options().connect(url).await?; // such as postgres://app@localhost/app
//! let store = PostgresStore::new(pool.clone()); // the pool that the service has anyway
//! store.migrate().await?; // or by your own migrations: see below
//! # let scope = steadfast::idempotency::Scope::shared();
//! let layer = IdempotencyLayer::new(store, scope);
//! # Ok(layer) }
//! ```
//!
//! The record in the same transaction as the business: both are there, or neither, wherever the process is killed.
//!
//! <!-- snippet: postgres-complete-in -->
//! ```no_run
//! use http::StatusCode;
//! use steadfast::{
//!     error::StoreError,
//!     idempotency::{Claim, StoredResponse},
//!     store::postgres::{PostgresStore, sqlx},
//! };
//!
//! /// `claim`: from the request's extensions, or by axum's extractor.
//! pub async fn pay(store: &PostgresStore, claim: &Claim, amount: i64) -> Result<StoredResponse, StoreError> {
//!     let answer = StoredResponse::json(StatusCode::CREATED, format!("{{\"amount\":{amount}}}"));
//!     let mut tx = store.pool().begin().await?;
//!     sqlx::query("INSERT INTO payment(amount) VALUES($1)").bind(amount).execute(&mut *tx).await?;
//!     store.complete_in(&mut tx, claim, &answer).await?;
//!     tx.commit().await?;
//!     Ok(answer) // what goes to the caller
//! }
//! ```
//!
//! A message in the same transaction: [`PostgresStore::enqueue_in`]. Whoever waits for the queue, in any process, is woken by
//! the commit.
//!
//! <!-- snippet: postgres-enqueue-in -->
//! ```no_run
//! use steadfast::{
//!     error::StoreError,
//!     queue::{NewMessage, Queue},
//!     store::postgres::{PostgresStore, sqlx},
//! };
//!
//! pub async fn order(store: &PostgresStore, receipts: &Queue, amount: i64) -> Result<(), StoreError> {
//!     let mut tx = store.pool().begin().await?;
//!     sqlx::query("INSERT INTO payment(amount) VALUES($1)").bind(amount).execute(&mut *tx).await?;
//!     store.enqueue_in(&mut tx, receipts, NewMessage::new(format!("{amount}"))).await?;
//!     Ok(tx.commit().await?)
//! }
//! ```
//!
//! # How it works
//!
//! | call | statements | waits for a row that another transaction holds |
//! | --- | --- | --- |
//! | `begin` | 1 | no: what is held is in flight |
//! | `complete`, `release` | 1 | up to `lock_wait` |
//! | `renew` | 1 | no: it fails, and is tried again soon |
//! | `settled`, after `complete_in` | 1 | up to `lock_wait`: the answer of the layer has to be true |
//! | `complete_in` | 1, in the user's transaction | as that one does |
//! | `sweep` | 1 for each batch | no: what is held is left for the next |
//! | `enqueue` | 1 for a thousand messages or 16 MB; where it is more, or a message has several keys: 1 or 2 each, and BEGIN and COMMIT | up to `lock_wait`, for a transaction that has brought the same dedupe key |
//! | `enqueue_in` | 1, or 2 for several keys, in the user's transaction | as that one does |
//! | `claim` | 1, and more where many have become too old | no (`SKIP LOCKED`) |
//! | `extend`, `settle` | 1 for a batch | up to `lock_wait` |
//! | `dead`, `redrive`, `purge`, `sweep`, `stats` | 1 | `redrive` and `purge` as the role's `lock_timeout` says |
//!
//! So a new request is two statements and a repeat is one, which writes nothing. sqlx prepares each once a connection. It also pings a
//! connection before giving it out, which is no statement and can be turned off (`PgPoolOptions::test_before_acquire`); a pool by
//! [`PostgresStore::pool_options`] asks `SHOW transaction_read_only` in its place.
//!
//! Two that race for one key cannot both get it; a statement that was overtaken is sent again, at most seven times.
//!
//! | setting | default | unit | why |
//! | --- | --- | --- | --- |
//! | `lock_wait` | 1.5 s | time | below the 2 s for which the layer waits, so that no connection waits on for nobody |
//! | `max_waiting` | 100 for each connection | calls | in an outage the rest are refused at once; while all is well they wait for at most 100 statements |
//! | `response_timeout` | 10 s | time | far above `lock_wait`; then the connection is closed |
//! | `transaction_pooler` | by the pool's statement cache | yes or no | see [Poolers](#poolers) |
//! | `name` | that of the database | text | in the registry |
//!
//! Everything else is the pool's: how many connections, how long one is waited for, `statement_timeout` (through
//! `PgConnectOptions::options`), TLS (by sqlx's own features).
//!
//! # Outages
//!
//! Every call of the store runs in a task of its own, to its end, and at most as many at once as the pool has connections. A caller
//! that stops waiting takes no connection along, so after an outage the pool has its connections back however often clients
//! retry. If the caller has left before its statement is sent, the statement is not sent.
//!
//! | what happens | what the store does |
//! | --- | --- |
//! | the server is away | an attempt to connect takes at most 4 s, then the next begins; so a server that is back is found within 4 s. After each fourth that took too long one has the pool's `acquire_timeout`, beside the others, for servers that need longer: over a pool of one connection the server is found that much later |
//! | handlers hold all connections of the pool | a call of the store fails after 4 s, not after `acquire_timeout`: sqlx does not distinguish this from a server that is away |
//! | more calls than `max_waiting` that clients cause (`begin`, `get`, `enqueue`) | an error at once: the idempotency layer and `accept()` answer 503. The calls of handlers, workers and operators are not counted, and wait behind no more of the others than there are connections |
//! | such calls have waited without a gap for 2 s | one more waits for 1 s at most, then the same. Otherwise the one that is served would be the one that has waited longest, whose caller is about to leave |
//! | no response within `response_timeout` (and `lock_wait`) | the connection is closed and the pool has a place again. The statement may have been executed: the call is safe to repeat |
//! | the session only reads (25006), as after a failover | the connection is closed and the call repeated on another one; at most twice as many a second as the pool has connections, at least 10 |
//! | the server ends the session (57P01 and the like) | the same, as nothing was executed |
//! | the connection breaks | an error: the statement may have been executed |
//!
//! With the default, `migrate` may take ten minutes for one transaction, and `dead`, `redrive`, `purge`, `sweep`, `stats` and large batches
//! a minute. A runtime that shuts down drops its calls and closes their connections; the pool's places are free again.
//!
//! *Your own transactions* are on the same pool. A pool by [`PostgresStore::pool_options`] gives out no connection that only reads and
//! is older than a second; with another pool, a `begin()` after a failover may get one, and its writes fail with 25006 until
//! `max_lifetime` is over. sqlx waits up to a fifth of `acquire_timeout` between two attempts to connect: 5 s in place of its 30 s finds
//! a server again within a second. A future of yours that is dropped in the middle of an `acquire` or `begin` closes its connection.
//!
//! # Queues over several processes
//!
//! A process in which somebody waits holds one connection more, beside the pool, that LISTENs on `steadfast_queue`: every
//! enqueue and redrive tells it with its commit, and so does what is given back or is to be tried again within a second.
//! It is made when somebody waits for the first time, is tried every 30 s, is made again when it breaks, and ends with the store
//! or its pool. While it is there, whoever waits looks by itself once a second; while it is not, every 250 ms. So nothing
//! depends on it: a pooler that swallows what is told costs a second.
//!
//! Postgres commits transactions that NOTIFY one after the other.
//!
//! A queue's name has at most 255 bytes; neither it nor a topic nor a destination holds the character zero, which Postgres
//! cannot keep: such a call is refused before anything is sent. In the text of an error U+FFFD takes its place. A body may be
//! of any bytes, and as long as Postgres takes (less than 1 GB). Dedupe keys are of any bytes and any length.
//!
//! To look into a queue:
//!
//! <!-- sql: postgres -->
//! ```sql
//! SELECT queue, state, count(*) FROM steadfast_queue GROUP BY 1, 2;   -- 0 waiting 1 parked 2 claimed 3 done 4 dead
//! SELECT id, reason, to_timestamp(due / 1000.0) FROM steadfast_queue WHERE state = 4;
//! SELECT id, a.attempt, outcome, status, error FROM steadfast_attempt a JOIN steadfast_queue USING (row_id) WHERE state = 4;
//! ```
//!
//! # Tables
//!
//! Made by [`PostgresStore::migrate`], never unasked. Their names begin with `steadfast_`; they lie in the first schema of the
//! `search_path` and are found by it (`options=-csearch_path%3Dapp` in the URL). Who has migrations of their own runs what
//! [`PostgresStore::schema`] gives (`examples/postgres_schema.rs` prints it); `migrate` then finds nothing to do, needs no
//! right to make tables, and still refuses those of a newer version. To serve, a role needs SELECT, INSERT, UPDATE and DELETE on
//! `steadfast_idempotency`, `steadfast_released`, `steadfast_queue`, `steadfast_dedupe` and `steadfast_attempt`.
//!
//! # Errors
//!
//! Every error is a [`StoreError`](crate::error::StoreError) whose `source()` is sqlx's own; every call is safe to repeat. None
//! has the password in it.
//!
//! | `what()` | what to do |
//! | --- | --- |
//! | no connection in time: the server is away, or the pool used up | see which; a handler that holds a transaction holds a connection |
//! | too many calls wait for a connection | nothing was sent: see [Outages](#outages) |
//! | the server did not answer in time | its connection was closed; whether the statement was done is asked by repeating it |
//! | the server or the transaction is read-only | every session of the server is: see where the pool connects to |
//! | the server cannot be reached | the connection broke in the middle; whether the statement was done is asked by repeating it |
//! | another transaction holds the row for too long | a handler has left its transaction open after `complete_in` |
//! | an open transaction holds the record | a renewal that met one: tried again, nothing to do |
//! | the transaction met another one: repeat it from its begin | in `complete_in`: repeat the whole transaction, with the same claim |
//! | the transaction has failed before | an error of a statement before was overlooked |
//! | a table or a column is missing: was the schema migrated? | run it, or look at the `search_path` |
//! | the role has not the right to do that | see Tables |
//! | the tables are those of a newer version of steadfast | do not go back to an older version; nothing was touched |
//!
//! # Guarantees
//!
//! * An answer of the store comes after the commit. What a commit survives is said by the server: with
//!   `synchronous_commit = off` or a failover to a replica that lags behind, the newest records can be lost, and with them, if it was
//!   the same transaction, what they tell of.
//! * While a transaction that has completed a claim is open, nobody takes the claim over, also when its lease lapses. Committed,
//!   the record is there; rolled back, the claim is as before: running, or lapsed.
//! * A handler that says yes although its transaction rolled back is answered for with a 500, and the key is free. All that it
//!   did must have been in that transaction. Where the server cannot say in time, the caller gets a 503 and the same key again tells.
//! * A transaction whose machine has vanished stays open until the server notices: set `tcp_keepalives_idle` there, or
//!   `idle_in_transaction_session_timeout`. Until then its key is in flight.
//! * The clock of leases and expiry is the server's (`clock_timestamp()`).
//! * Clones share pool and id, and the places for callers that wait. A call that is dropped may have been done. A database that two stores are made for is two
//!   stores: a claim of one is refused by `complete_in` of the other.
//! * Any default isolation level will do; the store's own statements are each a transaction, and are sent again where the
//!   server broke one off. In a transaction of yours above `read committed`, a renewal of the lease in the meantime is a conflict.
//! * A claim whose process died stays until somebody comes back with its key: the store does not know what became of it.
//!
//! * A message is claimed by one at a time, however many ask. It is claimed again only once its lease has lapsed or it was
//!   given back; a stale holder settles nothing.
//! * Whether a message is a duplicate is said once the transaction that brought the key has ended: of many who bring one key at
//!   once one is new, in any process.
//! * An `enqueue` that is dropped is done or not, as a whole. With a dedupe key it is safe to repeat.
//! * A `begin()` of sqlx that is dropped on its way leaves a connection in a transaction, and the pool gives it out. Make the pool
//!   by [`PostgresStore::pool_options`], which looks for that, or what is answered there may not be committed.
//!
//! # Poolers
//!
//! `PgBouncer` in transaction mode works with these settings (tested with 1.18) and `?statement-cache-capacity=0` in the URL of the
//! pool:
//!
//! ```ini
//! [databases]
//! * = host=127.0.0.1 port=5432
//!
//! [pgbouncer]
//! listen_addr = 127.0.0.1
//! listen_port = 6432
//! auth_type = scram-sha-256
//! auth_file = /etc/pgbouncer/userlist.txt
//! pool_mode = transaction
//! default_pool_size = 20
//! ignore_startup_parameters = extra_float_digits
//! server_login_retry = 1
//! ```
//!
//! Without the last line `PgBouncer` tries a server that was away again after 15 s only.
//!
//! With a statement cache of capacity 0 the store knows of the pooler, or by
//! [`with_transaction_pooler`](PostgresStore::with_transaction_pooler). It then prepares nothing, and each of its statements is between a BEGIN and
//! a COMMIT: sqlx parses a statement and executes it in two steps, and only a transaction keeps the pooler from giving the second
//! step another connection. That is four round trips in place of one. A pooler that tracks prepared statements
//! (`max_prepared_statements`, 1.21 or later) can do without, but not for LISTEN.
//!
//! * *Your own statements* need the same care: `.persistent(false)`, and a transaction around each.
//! * *LISTEN* does not work through such a pooler, so the store does not try: a wait looks by itself every 250 ms.
//! * *`options` in the URL* (`search_path`, `statement_timeout`) are refused, or lost where they stand in
//!   `ignore_startup_parameters`. Set them by `ALTER ROLE` or `ALTER DATABASE`.
//! * *Session mode* needs none of this.
//!
//! # Needs
//!
//! PostgreSQL 12 or later (`MATERIALIZED`), for queues 13 (`gen_random_uuid`), with the encoding UTF8; tested with 15. sqlx 0.9, or 0.8.6 with an older Rust; it is given out as
//! [`sqlx`], so that the versions fit.
//!
//! # Differences
//!
//! Unlike stores that hold a row lock or an advisory lock while the handler runs: no connection is held for a request that is
//! running, and a repeat is told at once instead of waiting.
//!
//! # Seen from outside
//!
//! Registry: kind `store`, with `connections`, `idle` and `waiting` (calls). How long calls take is measured by the
//! [layer](crate::idempotency). Events: the store is not listened to (WARN), a message cannot be read (ERROR).

mod admission;
mod clean;
#[cfg_attr(not(all(feature = "idempotency", feature = "queue")), allow(dead_code, reason = "each pattern uses a part"))]
mod connections;
mod error;
mod fate;
mod handle;
#[cfg(feature = "idempotency")]
mod idempotency;
#[cfg(feature = "queue")]
mod queue;
mod schema;
#[cfg_attr(not(all(feature = "idempotency", feature = "queue")), allow(dead_code, reason = "each pattern uses a part"))]
mod session;
mod status;
#[cfg_attr(not(feature = "idempotency"), allow(dead_code, reason = "records need it"))]
mod time;

pub use handle::PostgresStore;
pub use sqlx;

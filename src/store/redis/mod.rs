//! Idempotency records in Redis, shared by every process that can reach it.
//!
//! You want it behind a load balancer, where a Redis is there already and one round trip more is nothing. You do not want it where
//! a second run must be impossible whatever happens to a server: Redis answers before a replica has a write, and by default
//! before its disk has it. There take a store that shares a database with what the handler writes, as
//! [`SqliteStore`](crate::store::sqlite) does.
//!
//! <!-- snippet: redis-layer -->
//! ```no_run
//! use steadfast::{
//!     idempotency::{IdempotencyLayer, Scope},
//!     store::redis::RedisStore,
//! };
//!
//! # async fn example(url: &str) -> Result<IdempotencyLayer, Box<dyn std::error::Error>> {
//! let store = RedisStore::connect(url).await?; // such as redis://:password@redis.internal:6379
//! let user = Scope::by(|parts| parts.headers.get("x-user").map_or(Vec::new(), |user| user.as_bytes().to_vec()));
//! let layer = IdempotencyLayer::new(store, user);
//! # Ok(layer) }
//! ```
//!
//! On a connection of your own, with names of its own. The client library is re-exported; TLS, clusters and sentinels are
//! features of it that you enable in your own `Cargo.toml`:
//!
//! <!-- snippet: redis-manager -->
//! ```no_run
//! use std::time::Duration;
//! use steadfast::store::redis::{
//!     RedisStore,
//!     redis::{
//!         Client,
//!         aio::{ConnectionManager, ConnectionManagerConfig},
//!     },
//! };
//!
//! # async fn example(url: &str) -> Result<RedisStore, Box<dyn std::error::Error>> {
//! let config = ConnectionManagerConfig::new().set_response_timeout(Some(Duration::from_millis(500)));
//! let manager = ConnectionManager::new_with_config(Client::open(url)?, config).await?;
//! let store = RedisStore::from_connection_manager(manager).with_prefix("payments:").with_name("payments");
//! # Ok(store) }
//! ```
//!
//! # How it works
//!
//! A record is one string under `steadfast:` and 64 hexadecimal digits (SHA-256 of scope and key). Each call is one command;
//! those that write are scripts with that one key, sent by their hash, and in full only to a server that does not know them.
//!
//! | | round trips |
//! | --- | --- |
//! | a request that runs | 2: begin, complete; and one for each third of the lease that its handler takes |
//! | a replay, a conflict, a mismatch | 1 |
//!
//! A key that was freed leaves a record of the tokens that it was claimed with, at most 32 of 16 bytes each, which expires after three
//! minutes: a begin that the network held back claims nothing when it comes at last.
//!
//! A claim takes about 220 bytes, a record about 250 and its answer. Leases are compared with the `TIME` of the server, and
//! stand in the record: a claim that lapses stays, as unknown. A completed record has a `PX` expiry, and Redis removes it by
//! itself, so that sweeping does nothing here.
//!
//! | setting | value | why |
//! | --- | --- | --- |
//! | [`CONNECT_WITHIN`](RedisStore::CONNECT_WITHIN) | 1 s | for `connect`; yours where the connection is yours |
//! | [`ANSWER_WITHIN`](RedisStore::ANSWER_WITHIN) | 1 s | half of what the layer waits (`hold`), so that it can ask twice |
//! | `with_prefix` | `steadfast:` | another prefix is another store |
//! | `with_name` | host and port | in the registry |
//!
//! A connection made by `connect` is replaced when it breaks, and the command sent once more; also when nothing is answered on
//! it in time, or when its server has become a read-only replica: its address may lead to another by then. While there is no
//! connection every command tries to make one, and fails if it cannot.
//!
//! # What survives what
//!
//! | what happens to Redis | what is left |
//! | --- | --- |
//! | killed, restarted; `appendonly yes`, `appendfsync always` | all |
//! | killed, restarted; `appendonly yes`, `appendfsync everysec` (the default) | all; while an fsync is slow, all but the last 2 s: Redis answers, and writes nothing to the file until the fsync is over or 2 s have passed |
//! | killed, restarted; `appendonly yes`, `appendfsync no` | all: it is written to the file before it is answered |
//! | the machine fails; `appendonly yes`, `appendfsync always` | all, unless `no-appendfsync-on-rewrite yes` was set and the file was being rewritten |
//! | the machine fails; `appendonly yes`, `appendfsync everysec` | all but about the last second; while an fsync is slow, all but the records since that fsync began |
//! | the machine fails; `appendonly yes`, `appendfsync no` | the records that the kernel had written to the disk: on Linux all but the last 30 s or so |
//! | killed, restarted; snapshots (RDB) only | what stood in the last one |
//! | killed, restarted; neither | nothing |
//! | fails over to a replica | what the replica had: replication is asynchronous |
//! | full, `maxmemory-policy noeviction` | all. New keys get 503, and what ran is recorded when there is room |
//! | full, any other policy | whatever it chose not to evict |
//!
//! What is gone is gone without a trace: **the same key runs again**, as a new one. A run that was at work loses its claim: the
//! answer of its handler is not recorded, and its caller gets a 409 with `Retry-After`. Its token, 128 random bits, fits no later
//! claim, so it harms none. `min-replicas-to-write 1` makes a server without a replica refuse instead of forget (503).
//!
//! So: `maxmemory-policy noeviction`, `appendonly yes`, and `appendfsync always` where a lost record costs more than an fsync for each
//! batch of commands. `connect` asks for the policy, and another one is a WARN.
//!
//! # How much there is
//!
//! Records: their number in the time for which they are kept (24 h by default). Claims: those that run, and those that a
//! process left that was killed. The latter have no expiry, since a claim that vanished would let an unknown run happen again;
//! with [`OnUnknown::Fail`](crate::idempotency::OnUnknown::Fail) they answer 409 until somebody who has found out what was done
//! removes them, with [`OnUnknown::Rerun`](crate::idempotency::OnUnknown::Rerun) until the key is used again. There are at most as many as
//! requests were in flight in processes that were killed. To look:
//!
//! <!-- redis: records -->
//! ```sh
//! redis-cli --scan --pattern 'steadfast:*' | while read k; do echo "$k $(redis-cli GETRANGE $k 2 2) $(redis-cli GETRANGE $k 62 76)"; done
//! # steadfast:9f86… r 001764000000000      r running, c complete, n complete without its answer, f free (gone after 3 min); of r: lease until, in ms since 1970
//! redis-cli DEL steadfast:9f86…          # that key may run again
//! ```
//!
//! # Errors
//!
//! Every error is a [`StoreError`](crate::error::StoreError) whose `source()` is that of the client library; every call is safe to
//! repeat. The layer answers 503 to a new request, runs nothing, and records later what ran. No error holds a password.
//!
//! | `what()` | what to do |
//! | --- | --- |
//! | redis cannot be reached; did not answer in time; the connection to redis broke | repeat |
//! | redis is still loading its data; is out of memory; cannot write to its disk; has too few replicas | repeat; see to the server |
//! | this redis is a read-only replica | connect to the primary |
//! | the claim was released before | nothing: a begin that its caller had given up came late, and claimed nothing |
//! | redis does not permit it | look at the login, and at its commands: below |
//! | the address of redis cannot be used | it is no address, or needs a feature of the client library (TLS) |
//! | the key is on another node of the cluster | use a cluster connection |
//! | under the key lies another kind of value, or no record that this version of steadfast can read | somebody else uses the prefix, or a newer version does |
//!
//! # Versions
//!
//! Tested with Redis 7.0. The oldest that has what is used is 5.0: from there on a script may write after it has read `TIME`. The
//! commands are EVALSHA, EVAL, GET and GETRANGE, and in scripts GETRANGE, SETRANGE, SET with PX, DEL and TIME; for `connect` also
//! INFO, if permitted. A user for it:
//!
//! <!-- redis: user -->
//! ```sh
//! redis-cli ACL SETUSER service on '>password' '~steadfast:*' +evalsha +eval +get +getrange +set +setrange +del +time +info
//! ```
//!
//! # Guarantees
//!
//! * Clones are the same store and share the connection. Two that were connected to one Redis are two stores that see the same
//!   records.
//! * A call that is dropped may have been done or not; repeated with the same token, it finds out.
//! * No clock but the server's is read: that of this machine may jump.
//! * What lies under a key and is not ours is an error: it is not overwritten, and nothing runs.
//!
//! # Differences
//!
//! Unlike `SET NX` with an expiry: a lease that ends leaves a claim of unknown outcome, and not a free key. Unlike a counter for
//! fencing tokens: no second key, and nothing that a failover sets back.
//!
//! # Seen from outside
//!
//! Registry: kind `store`, with `commands`, `failed`, `replaced` (connections that were silent or led to a replica), and `evicts`
//! where the server told. Events: a server that may evict (WARN). How long the calls take is measured by the
//! [layer](crate::idempotency).

mod error;
mod eviction;
mod handle;
mod idempotency;
mod layout;
mod link;
mod script;
mod status;

pub use handle::RedisStore;
pub use redis;

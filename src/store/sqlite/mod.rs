//! One SQLite file: records, messages and the user's own tables, in the same transactions.
//!
//! You want it for a service on one machine that must not lose what it accepted: there is no server to run, a commit is one
//! fsync, and many callers share it. You do not want it on a network share (its locks do not hold there), nor for several
//! machines.
//!
//! ```
//! use steadfast::store::sqlite::SqliteStore;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("service.db");
//! let store = SqliteStore::open(&path)?;
//! let same = store.clone(); // a handle: both are the one store
//! assert_eq!(store.id(), same.id());
//! # Ok(()) }
//! ```
//!
//! The user's own write in the same transaction (with `tx.enqueue(&queue, message)?` and `tx.complete(&claim, &response)?`
//! beside it, what goes out and what is answered are there exactly if the write is):
//!
//! ```
//! use steadfast::{error::StoreError, store::sqlite::SqliteStore};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let store = SqliteStore::open(dir.path().join("service.db"))?;
//! store
//!     .transaction(|tx| {
//!         tx.execute_batch("CREATE TABLE IF NOT EXISTS payment(id INTEGER PRIMARY KEY, amount INTEGER)")?;
//!         Ok::<_, StoreError>(tx.execute("INSERT INTO payment(amount) VALUES(?1)", [5])?)
//!     })
//!     .await?; // on disk
//! let sum: i64 = store.read(|conn| Ok(conn.query_row("SELECT sum(amount) FROM payment", [], |row| row.get(0))?)).await?;
//! assert_eq!(sum, 5);
//! # Ok(()) }
//! ```
//!
//! # How it works
//!
//! <!-- picture -->
//! ```text
//! enqueue ─┐                 one thread, one connection
//! claim   ─┤   at most       ┌──────────────────────────────────────────┐
//! settle  ─┼─► backlog ────► │ BEGIN · job · job · SAVEPOINT closure · … │─► COMMIT + fsync ─► every answer
//! begin   ─┤   waiting       └──────────────────────────────────────────┘        ▲
//! closure ─┘                   what arrives during the fsync is the next group ──┘
//! stats, dead, get, read ────► connections of their own: never wait for the writer, nor it for them
//! ```
//!
//! | setting | default | unit | why |
//! | --- | --- | --- | --- |
//! | `group_jobs` | 512 | jobs | what shares one fsync, at most |
//! | `group_time` | 20 ms | time | then the group takes no more, so that a slow closure delays few |
//! | `closure_time` | 250 ms | time | then the SQL of a closure is interrupted: it holds up everybody |
//! | `backlog` | 1024 | jobs | beyond it callers wait to hand theirs in |
//! | `readers` | 4 | connections | each opened when first needed |
//! | `max_bytes` | none | bytes | a larger file fails as a full disk does |
//! | `name` | the path | text | in the registry and in metrics |
//!
//! Not settable: `journal_mode=WAL`, `synchronous=FULL` (with `fullfsync`, which macOS needs), a lock that another process
//! holds is waited for up to 5 s, the log is copied into the file when nobody waits or after 20,000 rows, and free pages are given
//! back once they are half of the file.
//!
//! # Errors
//!
//! Every error is a [`StoreError`](crate::error::StoreError) whose `source()` is SQLite's own; every call is safe to repeat.
//! None ends the store.
//!
//! | `what()` | what to do |
//! | --- | --- |
//! | the disk is full, or the file as large as it may be | make room; nothing that was answered is lost, and the next call tries again. An idempotency layer removes expired records by itself, and then asks once more |
//! | the file may not be written | the disk failed, or the process has reached its limit for file sizes: see below |
//! | the file is locked by another process | somebody held it for 5 s: look for a `sqlite3` that is inside a transaction |
//! | interrupted: the closure took too long | less work in one closure, or a longer `closure_time` |
//! | rolled back together with another's | repeat: nothing was written |
//! | not allowed inside a transaction of the store | leave BEGIN, COMMIT, ATTACH and PRAGMA out of closures |
//! | the file was written by a newer version of steadfast | do not go back to an older version; nothing was touched |
//!
//! # Guarantees
//!
//! * An `Ok` of `enqueue`, `settle`, `begin`, `complete`, `transaction` ... comes after the commit was fsynced: it survives
//!   `kill -9` and, where the disk keeps its word, a power cut. A refusal comes after the commit as well, since it may rest on
//!   what a neighbour wrote.
//! * Clones share the writer. When the last one is dropped, what was handed in is committed, and the file is closed.
//! * A call that is dropped before its turn is not begun; later, it is finished.
//! * Several processes may have the file open: each claims its own messages, and sees those of others within 250 ms. A file
//!   that is opened twice is two stores: what belongs to one is refused in a transaction of the other.
//! * The clock of leases and expiry is SQLite's (`unixepoch('subsec')`): that of the machine.
//! * Tables are made and brought up to date by `open`, by several processes at once if need be. Their names begin with
//!   `steadfast_`; `PRAGMA user_version` is the user's.
//!
//! # Files
//!
//! Beside the file are its log (`-wal`) and the log's index (`-shm`). On Unix a new file is created with the mode 0600, whatever the
//! umask lets through, and the two others get its mode: bodies of messages and recorded responses are for the service alone. A file
//! that is there keeps its mode. The folder is yours.
//!
//! A limit for file sizes (`ulimit -f`, `RLIMIT_FSIZE`, systemd's `LimitFSIZE`) kills the process with `SIGXFSZ` at the first write
//! beyond it, unless that signal is ignored. Ignored, the write fails, the call returns an error, nothing that was answered is
//! lost, and the next call tries again, as on a full disk. A process that is started with the signal ignored leaves it ignored:
//!
//! <!-- sigxfsz -->
//! ```sh
//! trap '' XFSZ; exec ./service
//! ```
//!
//! [`SqliteConfig::with_max_bytes`] limits the file without a signal.
//!
//! # Looking into the file
//!
//! With `sqlite3 service.db`, while the service runs:
//!
//! <!-- sql: sqlite -->
//! ```sql
//! SELECT queue, state, count(*) FROM steadfast_queue GROUP BY 1, 2;   -- 0 waiting 1 parked 2 claimed 3 done 4 dead
//! SELECT hex(id), reason, datetime(due / 1000, 'unixepoch') FROM steadfast_queue WHERE state = 4;
//! SELECT hex(id), a.attempt, outcome, status, error FROM steadfast_attempt a JOIN steadfast_queue USING (row) WHERE state = 4;
//! ```
//!
//! Reading disturbs nobody. Whoever writes there by hand stops the service's writer for as long as the transaction is open.
//!
//! # Differences
//!
//! Unlike sqlx's pool or a connection per request: no `SQLITE_BUSY` between callers of one process, since one thread writes;
//! and one fsync for many instead of one for each. Unlike queues that write `synchronous=OFF`: what was accepted is there
//! after a power cut.
//!
//! # Seen from outside
//!
//! Registry: kind `store`, with `waiting` (jobs), `writer_busy_ms` (0: idle), `commits`, `jobs`. Metrics:
//! `steadfast_store_commit_seconds`, `steadfast_store_group_jobs`. Events: a group that was rolled back, a group that could not
//! begin (both WARN), a writer that cannot work (ERROR).

mod clock;
mod config;
mod connection;
mod control;
mod error;
mod file;
mod guard;
mod handle;
mod hook;
#[cfg(feature = "idempotency")]
mod idempotency;
mod job;
mod maintenance;
#[cfg(feature = "queue")]
mod queue;
mod readers;
mod rowid;
mod schema;
mod status;
mod transaction;
mod writer;

pub use config::SqliteConfig;
pub use handle::SqliteStore;
pub use rusqlite;
pub use transaction::SqliteTransaction;

//! Durable work by many tasks over the SQLite store, beside a bare loop that writes the same rows and indexes.
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use steadfast::{
    error::{BoxError, StoreError},
    queue::{Claim, MessageId, NewMessage, QueueStore, Settle},
    store::sqlite::{
        SqliteStore,
        rusqlite::{Connection, params},
    },
};
use tokio::task::{JoinSet, spawn_blocking};

const TASKS: usize = 256;
const BODY: &str = "{\"event\":\"order.paid\",\"order\":4711,\"amount\":1999,\"currency\":\"EUR\"}";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), BoxError> {
    let total: usize = std::env::args().nth(1).map_or(Ok(64_000), |n| n.parse())?;
    let dir = tempfile::tempdir_in(std::env::current_dir()?)?;
    let file = |name: &str| dir.path().join(format!("{name}-{}.db", fastrand::u64(..)));
    println!("{total} rows each, in {}", dir.path().display());
    for round in 1..=3 {
        let appended = blocking(file("raw"), move |path| append(path, 256, total)).await?;
        let bare = blocking(file("bare"), move |path| loop_of_rows(path, 256, total, false)).await?;
        let saved = blocking(file("bare"), move |path| loop_of_rows(path, 256, total, true)).await?;
        let single = blocking(file("bare"), move |path| loop_of_rows(path, 1, total / 20, false)).await?;
        println!("round {round}");
        println!("  append + fdatasync, batch 256                    {appended:>9.0}/s");
        println!("  bare loop, batch 1                               {single:>9.0}/s");
        println!("  bare loop, batch 256                             {bare:>9.0}/s");
        println!("  bare loop, batch 256, a savepoint a row          {saved:>9.0}/s");
        let store = SqliteStore::open(file("store"))?;
        let enqueued = enqueue(&store, total).await?;
        let of = enqueued / saved;
        println!(
            "  enqueue by {TASKS} tasks                             {enqueued:>9.0}/s = {of:.2} of the loop with savepoints"
        );
        let done = work_off(&store, total).await?;
        println!("  claimed by 32, settled by 32                     {done:>9.0}/s");
        let bare = blocking(file("bare"), move |path| loop_of_business(path, 256, total / 4)).await?;
        let business = transactions(&SqliteStore::open(file("store"))?, total / 4).await?;
        let of = business / bare;
        println!("  bare loop: own row, record, message; savepoints  {bare:>9.0}/s");
        println!("  the same as transaction() by {TASKS} tasks           {business:>9.0}/s = {of:.2} of that loop");
    }
    Ok(())
}

async fn blocking(
    path: PathBuf,
    run: impl FnOnce(&Path) -> Result<f64, BoxError> + Send + 'static,
) -> Result<f64, BoxError> {
    spawn_blocking(move || run(&path)).await?
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn rate(rows: usize, since: Instant) -> f64 {
    rows as f64 / since.elapsed().max(Duration::from_nanos(1)).as_secs_f64()
}

fn append(path: &Path, batch: usize, total: usize) -> Result<f64, BoxError> {
    use std::io::Write;
    let mut file = std::fs::File::create(path)?;
    let record = vec![0_u8; BODY.len() + 128];
    let since = Instant::now();
    for _ in 0..total / batch {
        file.write_all(&record.repeat(batch))?;
        file.sync_data()?;
    }
    Ok(rate(total, since))
}

/// The store's own tables, written by hand.
fn tables(path: &Path) -> Result<Connection, BoxError> {
    drop(SqliteStore::open(path)?);
    let conn = Connection::open(path)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "cache_size", -32 * 1024)?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

fn message(conn: &Connection, key: &str) -> Result<(), BoxError> {
    let id = MessageId::new();
    conn.prepare_cached(
        "INSERT INTO steadfast_dedupe(queue, key, id, expires_at) VALUES('q', ?1, ?2, unixepoch() * 1000 + 604800000)",
    )?
    .execute(params![key, id.0])?;
    conn.prepare_cached(
        "INSERT INTO steadfast_queue(id, queue, state, due, attempt, epoch, enqueued_at, expires_at, max_age, body)
            VALUES(?1, 'q', 0, unixepoch() * 1000, 0, 0, unixepoch() * 1000, unixepoch() * 1000 + 604800000, 604800000, ?2)",
    )?
    .execute(params![id.0, BODY.as_bytes()])?;
    Ok(())
}

fn in_groups(
    conn: &Connection,
    batch: usize,
    total: usize,
    savepoint: bool,
    mut row: impl FnMut(&Connection, usize) -> Result<(), BoxError>,
) -> Result<f64, BoxError> {
    let since = Instant::now();
    for group in 0..total / batch {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        for n in 0..batch {
            if savepoint {
                conn.prepare_cached("SAVEPOINT s")?.execute([])?;
            }
            row(conn, group * batch + n)?;
            if savepoint {
                conn.prepare_cached("RELEASE s")?.execute([])?;
            }
        }
        conn.execute_batch("COMMIT")?;
    }
    Ok(rate(total, since))
}

fn loop_of_rows(path: &Path, batch: usize, total: usize, savepoint: bool) -> Result<f64, BoxError> {
    in_groups(&tables(path)?, batch, total, savepoint, |conn, n| message(conn, &key(n, batch)))
}

/// As 256 tasks would bring them: each counts up by itself.
fn key(n: usize, tasks: usize) -> String {
    format!("{}-{}", n % tasks, n / tasks)
}

async fn enqueue(store: &SqliteStore, total: usize) -> Result<f64, BoxError> {
    let since = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let store = store.clone();
        tasks.spawn(async move {
            for n in 0..total / TASKS {
                let message = NewMessage::new(BODY).with_dedupe(format!("{task}-{n}"));
                store.enqueue("q", vec![message]).await?;
            }
            Ok::<_, StoreError>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(rate(total, since))
}

async fn work_off(store: &SqliteStore, total: usize) -> Result<f64, BoxError> {
    let since = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            let claim = Claim { limit: 32, lease: Duration::from_secs(60), max_attempts: 3 };
            loop {
                let claimed = store.claim("q", claim).await?;
                if claimed.is_empty() {
                    return Ok::<_, StoreError>(());
                }
                store.settle(claimed.iter().map(|message| (message.lease(), Settle::Done)).collect()).await?;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(rate(total, since))
}

const BUSINESS: &str = "CREATE TABLE business(id INTEGER PRIMARY KEY, what TEXT NOT NULL)";

fn business(conn: &Connection, n: usize) -> Result<(), BoxError> {
    conn.prepare_cached("INSERT INTO business(what) VALUES('some text of the user')")?.execute([])?;
    let key = format!("{:032x}", (n as u128).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C834));
    conn.prepare_cached(
        "INSERT INTO steadfast_idempotency(key, fp_version, fp, token, attempt, state, lease_until, expires_at, response)
            VALUES(?1, 1, ?1, ?1, 1, 1, 0, unixepoch() * 1000 + 86400000, ?1)",
    )?
    .execute([key.as_bytes()])?;
    message(conn, &key)
}

fn loop_of_business(path: &Path, batch: usize, total: usize) -> Result<f64, BoxError> {
    let conn = tables(path)?;
    conn.execute_batch(BUSINESS)?;
    in_groups(&conn, batch, total, true, business)
}

async fn transactions(store: &SqliteStore, total: usize) -> Result<f64, BoxError> {
    store.transaction(|tx| Ok::<_, StoreError>(tx.execute_batch(BUSINESS)?)).await?;
    let since = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let store = store.clone();
        tasks.spawn(async move {
            for n in 0..total / TASKS {
                let write = move |tx: &mut steadfast::store::sqlite::SqliteTransaction<'_>| {
                    business(tx, n * TASKS + task).map_err(|e| StoreError::with_source("the write failed", e))
                };
                store.transaction(write).await?;
            }
            Ok::<_, StoreError>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(rate(total, since))
}

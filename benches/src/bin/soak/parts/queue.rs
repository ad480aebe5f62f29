//! A worker under retries, parks, dead letters, redrives, purges and panics.
use super::stores;
use crate::{
    PANIC,
    subject::{Call, Rows, Subject},
};
use std::{io, panic::panic_any, sync::Arc, time::Duration};
use steadfast::{
    backoff::Exponential,
    classify::{Failure, Outcome},
    dead_letter::Filter,
    error::BoxError,
    queue::{Message, NewMessage, Queue, QueueStore, Worker},
    store::{memory::MemoryStore, sqlite::SqliteConfig},
};
use tokio::time::sleep;
use tower::service_fn;

const KINDS: u64 = 12;
const SECOND: Duration = Duration::from_secs(1);
/// Calls between two redrives, and between two purges, of dead letters.
const REDRIVE: u64 = 500;
const PURGE: u64 = 1_700;

async fn work(message: Message) -> Result<Outcome, io::Error> {
    let first = message.attempt() == 1;
    Ok(match message.topic() {
        Some("again") if first => Outcome::Failure(Failure::Transient),
        Some("parks") if fastrand::bool() => Outcome::Failure(Failure::Overloaded),
        Some("rejected") => Outcome::Rejected,
        Some("fails") => Outcome::Failure(Failure::Fault),
        Some("panics") if first => panic_any(PANIC),
        Some("error") if first => return Err(io::ErrorKind::ConnectionReset.into()),
        Some("slow") => {
            sleep(Duration::from_millis(fastrand::u64(5..100))).await;
            Outcome::Success
        }
        _ => Outcome::Success,
    })
}

fn topic(kind: u64) -> &'static str {
    match kind {
        1 => "again",
        2 => "parks",
        3 => "rejected",
        4 => "fails",
        5 => "panics",
        6 => "error",
        7 => "slow",
        _ => "ok",
    }
}

async fn call(queue: Queue, call: Call) -> bool {
    let Call { n, calm } = call;
    if !calm && n % REDRIVE == REDRIVE - 1 {
        return queue.dead_letters().redrive(Filter::all().topic("fails")).await.is_ok();
    }
    if !calm && n % PURGE == PURGE - 1 {
        return queue.dead_letters().purge(Filter::all()).await.is_ok();
    }
    let message = || {
        let message = NewMessage::new(vec![b'x'; 500]).with_topic(topic(call.kind(KINDS)));
        message.with_dedupe(format!("order-{n}")).with_dedupe_for(2 * SECOND).with_max_age(60 * SECOND)
    };
    match call.kind(KINDS) {
        // twice, and a caller that leaves
        8 => queue.enqueue_all(vec![message(), message()]).await.is_ok(),
        9 => tokio::time::timeout(Duration::from_millis(1), queue.enqueue(message())).await.is_ok(),
        _ => queue.enqueue(message()).await.is_ok(),
    }
}

fn subject(queue: Queue, rate: u32) -> Result<Subject, BoxError> {
    let worker = Worker::new(queue.clone(), service_fn(work))
        .with_concurrency(64)
        .with_max_attempts(3)
        .with_backoff(Exponential::new(Duration::from_millis(20), Duration::from_millis(200))?)
        .with_park_for(Duration::from_millis(200))
        .with_lease(2 * SECOND)
        .with_keep_done(2 * SECOND);
    tokio::spawn(worker.run(std::future::pending()));
    let tidied = queue.clone();
    let subject = Subject::new(rate, move |n| call(queue.clone(), n));
    let subject = subject.with_tidy(move || {
        let queue = tidied.clone();
        async move {
            if let Err(error) = queue.dead_letters().purge(Filter::all()).await {
                eprintln!("purge: {error}");
            }
        }
    });
    // A worker sweeps once a minute: a warm-up under load would still be there at the start, and calm calls stay for as long.
    Ok(subject.with_calm_warm_up().with_calm_rate(2).with_settling(5, 90))
}

pub(super) async fn memory(_: Duration) -> Result<Subject, BoxError> {
    let queue = Queue::new("soak", MemoryStore::new());
    let rows = rows(queue.clone());
    Ok(subject(queue, 2_000)?.with_rows(rows))
}

pub(super) async fn sqlite(_: Duration) -> Result<Subject, BoxError> {
    let (store, dir) = stores::sqlite(SqliteConfig::new())?;
    let rows = stores::sqlite_rows(dir.path())?;
    Ok(subject(Queue::new("soak", store), 500)?.with_rows(rows).keeping(dir))
}

pub(super) async fn postgres(_: Duration) -> Result<Subject, BoxError> {
    let (store, url) = stores::postgres().await?;
    let rows = stores::postgres_rows(&url).await?;
    Ok(subject(Queue::new("soak", store), 300)?.with_rows(rows))
}

/// Messages of a queue whose store has no tables to count in.
pub(super) fn rows(queue: Queue) -> impl Fn() -> Rows + use<> {
    move || {
        let queue = queue.clone();
        Box::pin(async move {
            let stats = queue.stats().await?;
            Ok(i64::try_from(stats.open() + stats.done + stats.dead)?)
        })
    }
}

/// One store for many queues.
pub(super) fn shared(store: impl QueueStore) -> Arc<dyn QueueStore> {
    Arc::new(store)
}

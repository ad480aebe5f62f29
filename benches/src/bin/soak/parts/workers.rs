//! Workers that live for less than a second, as a process does that cron starts.
use super::{queue, stores};
use crate::subject::{Call, Subject};
use std::{convert::Infallible, time::Duration};
use steadfast::{
    error::BoxError,
    queue::{Message, NewMessage, Queue, Worker},
    store::{memory::MemoryStore, sqlite::SqliteConfig},
};
use tokio::time::sleep;
use tower::service_fn;

/// Messages of one call, under load and after it.
const MESSAGES: [u64; 2] = [20, 5];

/// Enqueues, and has a worker for a moment.
async fn call(queue: Queue, Call { n, calm }: Call) -> bool {
    let messages = (0..MESSAGES[usize::from(calm)]).map(|i| {
        let message = NewMessage::new("{}").with_dedupe(format!("{n}-{i}"));
        message.with_dedupe_for(Duration::from_secs(1))
    });
    let stored = queue.enqueue_all(messages.collect()).await.is_ok();
    let service = service_fn(|_: Message| async {
        sleep(Duration::from_millis(fastrand::u64(0..20))).await;
        Ok::<_, Infallible>(())
    });
    let worker = Worker::new(queue, service).with_lease(Duration::from_secs(2)).with_keep_done(Duration::from_secs(1));
    let lives = Duration::from_millis(if calm { 500 } else { fastrand::u64(20..800) });
    if n % 5 == 4 && !calm {
        // dropped in the middle
        return tokio::time::timeout(lives, worker.run(std::future::pending())).await.is_err() && stored;
    }
    worker.run(sleep(lives)).await;
    stored
}

fn subject(queue: Queue) -> Subject {
    Subject::new(10, move |n| call(queue.clone(), n)).with_calm_rate(2).with_settling(5, 60)
}

pub(super) async fn memory(_: Duration) -> Result<Subject, BoxError> {
    let queue = Queue::new("soak", MemoryStore::new());
    let rows = queue::rows(queue.clone());
    Ok(subject(queue).with_rows(rows))
}

pub(super) async fn sqlite(_: Duration) -> Result<Subject, BoxError> {
    let (store, dir) = stores::sqlite(SqliteConfig::new())?;
    let rows = stores::sqlite_rows(dir.path())?;
    Ok(subject(Queue::new("soak", store)).with_rows(rows).keeping(dir))
}

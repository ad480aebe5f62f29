//! A queue for each tenant: 20,000 names that come and go.
use super::{queue::shared, stores};
use crate::subject::{Call, Subject};
use std::{convert::Infallible, sync::Arc, time::Duration};
use steadfast::{
    error::BoxError,
    queue::{Message, NewMessage, Queue, QueueStore, Worker},
    store::{memory::MemoryStore, sqlite::SqliteConfig},
};
use tokio::{sync::Notify, time::timeout};
use tower::service_fn;

const NAMES: u64 = 20_000;
/// Calm calls are all of one tenant.
const CALM: &str = "tenant, calm";

/// One message for one tenant, whose worker ends when it is done and nothing more has come.
async fn call(store: Arc<dyn QueueStore>, Call { n, calm }: Call) -> bool {
    let name = if calm { CALM.to_owned() } else { format!("tenant {n:08}") };
    let queue = Queue::with_store(name, store);
    let message = NewMessage::new("{}").with_dedupe(format!("order {n}")).with_dedupe_for(Duration::ZERO);
    if queue.enqueue(message).await.is_err() {
        return false;
    }
    let done = Arc::new(Notify::new());
    let tell = done.clone();
    let service = service_fn(move |_: Message| {
        tell.notify_one();
        async { Ok::<_, Infallible>(()) }
    });
    let worker = Worker::new(queue, service).with_concurrency(1).with_keep_done(Duration::ZERO);
    let finished = async {
        done.notified().await;
        // it looks once more, and waits
        tokio::time::sleep(Duration::from_millis(30)).await;
    };
    timeout(Duration::from_secs(10), worker.run(finished)).await.is_ok()
}

fn subject(store: Arc<dyn QueueStore>, load: Duration) -> Result<Subject, BoxError> {
    let rate = u32::try_from(NAMES / load.as_secs().max(1) + 10)?;
    let subject = Subject::new(rate, move |n| call(store.clone(), n));
    Ok(subject.with_calm_rate(2).with_settling(5, 60).with_calm_warm_up())
}

pub(super) async fn memory(load: Duration) -> Result<Subject, BoxError> {
    subject(shared(MemoryStore::new()), load)
}

pub(super) async fn sqlite(load: Duration) -> Result<Subject, BoxError> {
    let (store, dir) = stores::sqlite(SqliteConfig::new())?;
    let rows = stores::sqlite_rows(dir.path())?;
    Ok(subject(shared(store), load)?.with_rows(rows).keeping(dir))
}

pub(super) async fn postgres(load: Duration) -> Result<Subject, BoxError> {
    let (store, url) = stores::postgres().await?;
    let rows = stores::postgres_rows(&url).await?;
    Ok(subject(shared(store), load)?.with_rows(rows))
}

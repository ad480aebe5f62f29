use super::{
    super::{PostgresStore, connections::Call},
    column::{duration, name},
};
use crate::error::StoreError;
use sqlx::Row;
use std::time::Duration;
use tokio::time::timeout;

/// How often the store is looked at all the same while it is listened to: a line may be dead without anybody knowing, and
/// a pooler in between may swallow what is told.
pub(super) const OTHERS: Duration = Duration::from_secs(1);
/// How often while it is not.
const UNHEARD: Duration = Duration::from_millis(250);
/// What is due and was not claimed is being claimed by somebody else.
const BUSY: Duration = Duration::from_millis(5);

pub(super) async fn wait(store: &PostgresStore, queue: &str) {
    let listener = &store.listener;
    let waiter = listener.waiter(queue);
    loop {
        // listening before looking: it hears of every commit from here on, polled or not
        let changed = waiter.notified();
        let look_again = if listener.listens(&store.connections) { OTHERS } else { UNHEARD };
        let next = next(store, queue).await;
        let nap = match next {
            Ok(Some(due)) => due.clamp(BUSY, look_again),
            // a store that cannot be read says so to whoever claims
            Ok(None) | Err(_) => look_again,
        };
        let woken = timeout(nap, changed).await.is_ok();
        if woken || next.is_err() || next.is_ok_and(|due| due.is_some_and(|due| due <= nap)) {
            return;
        }
    }
}

/// In how long there is something to claim, if anything has not ended.
async fn next(store: &PostgresStore, queue: &str) -> Result<Option<Duration>, StoreError> {
    let left = store.connections.call(Call::OF_THE_SERVICE, name(queue)?.to_owned(), |mut session, queue| {
        Box::pin(async move { Ok(session.optional(sqlx::query(include_str!("sql/next.sql")).bind(queue)).await?) })
    });
    left.await?.map(|row| Ok(duration(row.try_get(0)?))).transpose()
}

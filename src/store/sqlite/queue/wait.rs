use super::super::{
    SqliteStore,
    clock::{duration, now},
};
use crate::error::StoreError;
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;
use tokio::time::timeout;

/// How often the file is looked at for what other processes did: four look-ups in an index a second.
const OTHERS: Duration = Duration::from_millis(250);

pub(super) async fn wait(store: &SqliteStore, queue: &str) {
    let waiter = store.inner.wakes.waiter(queue);
    loop {
        // listening before looking: it hears of every commit from here on, polled or not
        let changed = waiter.notified();
        let name = queue.to_owned();
        let next = store.read(move |conn| next(conn, &name)).await;
        let nap = match next {
            Ok(Some(Duration::ZERO)) => return,
            Ok(Some(due)) => due.min(OTHERS),
            // a store that cannot be read says so to whoever claims
            Ok(None) | Err(_) => OTHERS,
        };
        if timeout(nap, changed).await.is_ok() || next.is_err() {
            return;
        }
    }
}

/// In how long there is something to claim, if anything has not ended.
fn next(conn: &Connection, queue: &str) -> Result<Option<Duration>, StoreError> {
    let sql = "SELECT due FROM steadfast_queue WHERE queue = ?1 AND state < 3 ORDER BY due LIMIT 1";
    let due: Option<i64> = conn.prepare_cached(sql)?.query_row(params![queue], |row| row.get(0)).optional()?;
    let now = now(conn)?;
    Ok(due.map(|due| duration(due - now)))
}

use super::{
    super::{PostgresStore, connections::Call, time::millis},
    column::{CLAIMED, DEAD, DONE, PARKED, WAITING, counted, limit, name},
};
use crate::{error::StoreError, queue::Stats};
use sqlx::Row;
use std::time::Duration;

pub(super) async fn stats(store: &PostgresStore, queue: &str) -> Result<Stats, StoreError> {
    let rows =
        store.connections.call(Call::OF_THE_SERVICE.of_many_rows(), name(queue)?.to_owned(), |mut session, queue| {
            Box::pin(async move { Ok(session.all(sqlx::query(include_str!("sql/stats.sql")).bind(queue)).await?) })
        });
    let mut stats = Stats::default();
    for row in rows.await? {
        let of = match (row.try_get::<i32, _>("state").map(i16::try_from)?, row.try_get("is_due")?) {
            (Ok(WAITING | PARKED | CLAIMED), true) => &mut stats.ready,
            (Ok(WAITING), false) => &mut stats.scheduled,
            (Ok(PARKED), false) => &mut stats.parked,
            (Ok(CLAIMED), false) => &mut stats.claimed,
            (Ok(DONE), _) => &mut stats.done,
            (Ok(DEAD), _) => &mut stats.dead,
            _ => continue,
        };
        *of += u64::try_from(row.try_get::<i64, _>("n")?).unwrap_or(0);
    }
    Ok(stats)
}

pub(super) async fn sweep(
    store: &PostgresStore,
    queue: &str,
    keep_done: Duration,
    most: usize,
) -> Result<usize, StoreError> {
    let rows = store.connections.call(
        Call::OF_THE_SERVICE.of_many_rows(),
        name(queue)?.to_owned(),
        move |mut session, queue| {
            let statement =
                sqlx::query(include_str!("sql/sweep.sql")).bind(queue).bind(millis(keep_done)).bind(limit(most));
            Box::pin(async move { Ok(session.all(statement).await?) })
        },
    );
    counted(&rows.await?, "swept")
}

use super::{
    super::{PostgresStore, alone::alone, time::millis},
    column::{CLAIMED, DEAD, DONE, PARKED, WAITING, counted, limit, name},
};
use crate::{error::StoreError, queue::Stats};
use sqlx::Row;
use std::time::Duration;

pub(super) async fn stats(store: &PostgresStore, queue: &str) -> Result<Stats, StoreError> {
    let rows = sqlx::query(include_str!("sql/stats.sql")).bind(name(queue)?).fetch_all(&store.pool).await?;
    let mut stats = Stats::default();
    for row in rows {
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
    let name = name(queue)?;
    let statement = || sqlx::query(include_str!("sql/sweep.sql")).bind(name).bind(millis(keep_done)).bind(limit(most));
    counted(&alone(&store.pool, statement).await?, "swept")
}

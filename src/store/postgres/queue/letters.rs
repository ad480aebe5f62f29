use super::{
    super::{PostgresStore, connections::Call, error::UNREADABLE},
    column::{bound, counted, date, headers_in, kept, limit, name, readable, uint},
};
use crate::{
    error::StoreError,
    queue::{Attempted, DeadLetter, Filter, MessageId, Reason},
};
use sqlx::{Row, postgres::PgRow};
use std::time::Duration;

pub(super) async fn dead(
    store: &PostgresStore,
    queue: &str,
    filter: &Filter,
    cursor: Option<MessageId>,
    most: usize,
) -> Result<Vec<DeadLetter>, StoreError> {
    let named = [filter.topic.as_deref(), filter.destination.as_deref()];
    if named.iter().flatten().any(|text| text.contains('\0')) {
        return Ok(Vec::new()); // no letter has such a one
    }
    let data = (name(queue)?.to_owned(), filter.clone(), cursor.unwrap_or(MessageId([0; 16])).to_string());
    let rows = store.connections.call(
        Call::OF_THE_SERVICE.of_many_rows(),
        data,
        move |mut session, (queue, filter, cursor)| {
            let statement = sqlx::query(include_str!("sql/dead.sql"))
                .bind(queue)
                .bind(cursor)
                .bind(filter.reason.map(Reason::as_str))
                .bind(filter.topic.as_deref())
                .bind(filter.destination.as_deref())
                .bind(filter.died_before.map(bound))
                .bind(filter.died_after.map(bound))
                .bind(filter.ids.as_deref().map(texts))
                .bind(limit(most));
            Box::pin(async move { Ok(session.all(statement).await?) })
        },
    );
    let rows = rows.await?;
    rows.iter().map(letter).collect()
}

fn texts(ids: &[MessageId]) -> Vec<String> {
    ids.iter().map(MessageId::to_string).collect()
}

fn letter(row: &PgRow) -> Result<DeadLetter, StoreError> {
    Ok(DeadLetter {
        id: MessageId(row.try_get("id")?),
        reason: Reason::from_word(row.try_get("reason")?).ok_or(UNREADABLE)?,
        died_at: date(row.try_get("due")?),
        enqueued_at: date(row.try_get("enqueued_at")?),
        attempts: uint(row.try_get("attempt")?),
        not_sent: uint(row.try_get("not_sent")?),
        refused: uint(row.try_get("refused")?),
        epoch: uint(row.try_get("epoch")?),
        topic: row.try_get("topic")?,
        destination: row.try_get("destination")?,
        headers: headers_in(row.try_get("headers")?)?,
        body: row.try_get::<Vec<u8>, _>("body")?.into(),
        history: history(row)?,
    })
}

fn history(row: &PgRow) -> Result<Vec<Attempted>, StoreError> {
    // NULL: it has none
    let Some(attempts) = row.try_get::<Option<Vec<i32>>, _>("attempts")? else { return Ok(Vec::new()) };
    let ats: Vec<i64> = row.try_get("ats")?;
    let durations: Vec<i64> = row.try_get("durations")?;
    let outcomes: Vec<String> = row.try_get("outcomes")?;
    let statuses: Vec<Option<i32>> = row.try_get("statuses")?;
    let errors: Vec<String> = row.try_get("errors")?;
    let whens = attempts.into_iter().zip(ats).zip(durations);
    let whats = outcomes.into_iter().zip(statuses).zip(errors);
    let entry = |(((attempt, at), duration), ((outcome, status), error))| Attempted {
        attempt: uint(attempt),
        at: date(at),
        duration: Duration::from_nanos(u64::try_from(duration).unwrap_or(0)),
        outcome,
        status: Option::<i32>::and_then(status, |status| u16::try_from(status).ok()),
        error,
    };
    Ok(whens.zip(whats).map(entry).collect())
}

pub(super) async fn redrive(
    store: &PostgresStore,
    queue: &str,
    ids: &[MessageId],
    by: &str,
) -> Result<usize, StoreError> {
    let by = Attempted::shortened(readable(by).into_owned());
    let rows = store.connections.call(
        Call::OF_THE_SERVICE.of_many_rows(),
        (name(queue)?.to_owned(), texts(ids), by),
        |mut session, data| {
            let (name, ids, by) = data;
            let certain = Reason::ALL.into_iter().filter(|reason| reason.is_certain()).map(Reason::as_str);
            let statement = sqlx::query(include_str!("sql/redrive.sql"))
                .bind(name)
                .bind(ids)
                .bind(by)
                .bind(certain.collect::<Vec<_>>())
                .bind(kept());
            Box::pin(async move { Ok(session.all(statement).await?) })
        },
    );
    let redriven = counted(&rows.await?, "redriven")?;
    store.listener.wake(queue);
    Ok(redriven)
}

pub(super) async fn purge(store: &PostgresStore, queue: &str, ids: &[MessageId]) -> Result<usize, StoreError> {
    let rows = store.connections.call(
        Call::OF_THE_SERVICE.of_many_rows(),
        (name(queue)?.to_owned(), texts(ids)),
        |mut session, data| {
            let (name, ids) = data;
            let statement = sqlx::query(include_str!("sql/purge.sql")).bind(name).bind(ids);
            Box::pin(async move { Ok(session.all(statement).await?) })
        },
    );
    counted(&rows.await?, "purged")
}

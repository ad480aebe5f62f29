use super::{
    super::{PostgresStore, connections::Call, session::Statement, time::millis},
    column::{DEAD, DONE, PARKED, WAITING, int, kept, readable},
    wait::OTHERS,
};
use crate::{
    error::StoreError,
    queue::{Attempted, Lease, LeaseLost, Reason, Settle},
};
use sqlx::Row;
use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

pub(super) type Answers = Vec<Result<(), LeaseLost>>;

pub(super) async fn extend(store: &PostgresStore, leases: Vec<Lease>, by: Duration) -> Result<Answers, StoreError> {
    if leases.is_empty() {
        return Ok(Vec::new());
    }
    let many = leases.len();
    let rows = store.connections.call(Call::OF_THE_SERVICE, (leases, store.patience()), move |mut session, data| {
        let (leases, patience) = data;
        let statement = sqlx::query(include_str!("sql/extend.sql"))
            .bind(leases.iter().map(|lease| lease.row).collect::<Vec<_>>())
            .bind(leases.iter().map(|lease| int(lease.attempt)).collect::<Vec<_>>())
            .bind(leases.iter().map(|lease| &lease.token.0[..]).collect::<Vec<_>>())
            .bind(millis(by))
            .bind(patience);
        Box::pin(async move { Ok(session.all(statement).await?) })
    });
    let rows = rows.await?;
    let extended = rows.iter().map(|row| Ok(row.try_get("n")?)).collect::<Result<_, StoreError>>()?;
    Ok(answers(many, &extended))
}

/// By the place in the batch, from 1.
fn answers(batch: usize, held: &HashSet<i64>) -> Answers {
    (1..).take(batch).map(|n| if held.contains(&n) { Ok(()) } else { Err(LeaseLost) }).collect()
}

pub(super) async fn settle(store: &PostgresStore, settled: Vec<(Lease, Settle)>) -> Result<Answers, StoreError> {
    if settled.is_empty() {
        return Ok(Vec::new());
    }
    let many = settled.len();
    let rows = store.connections.call(
        Call::OF_THE_SERVICE,
        (settled, store.patience()),
        |mut session, (settled, patience)| {
            Box::pin(async move { Ok(session.all(statement(settled, patience)).await?) })
        },
    );
    let rows = rows.await?;
    let (mut held, mut waited_for) = (HashSet::new(), BTreeSet::new());
    for row in &rows {
        held.insert(row.try_get("n")?);
        if row.try_get("waits")? {
            waited_for.insert(row.try_get::<String, _>("queue")?);
        }
    }
    for queue in waited_for {
        store.listener.wake(&queue); // it may be due sooner than what they wait for
    }
    Ok(answers(many, &held))
}

fn statement<'q>(settled: &'q [(Lease, Settle)], patience: &'q str) -> Statement<'q> {
    let ends: Vec<_> = settled.iter().map(|(_, settle)| End::of(settle)).collect();
    let history = || ends.iter().map(|end| end.attempted);
    sqlx::query(include_str!("sql/settle.sql"))
        .bind(rows_of(settled))
        .bind(settled.iter().map(|(lease, _)| int(lease.attempt)).collect::<Vec<_>>())
        .bind(settled.iter().map(|(lease, _)| &lease.token.0[..]).collect::<Vec<_>>())
        .bind(ends.iter().map(|end| end.state).collect::<Vec<_>>())
        .bind(ends.iter().map(|end| millis(end.after)).collect::<Vec<_>>())
        .bind(ends.iter().map(|end| end.hands_back).collect::<Vec<_>>())
        .bind(ends.iter().map(|end| end.reason.map(Reason::as_str)).collect::<Vec<_>>())
        .bind(history().map(|attempted| attempted.is_some()).collect::<Vec<_>>())
        .bind(history().map(|attempted| attempted.map(|a| int(a.attempt))).collect::<Vec<_>>())
        .bind(history().map(|attempted| attempted.map(|a| nanos(a.duration))).collect::<Vec<_>>())
        .bind(history().map(|attempted| attempted.map(|a| readable(&a.outcome).into_owned())).collect::<Vec<_>>())
        .bind(history().map(|attempted| attempted.and_then(|a| a.status).map(i32::from)).collect::<Vec<_>>())
        .bind(history().map(|attempted| attempted.map(error)).collect::<Vec<_>>())
        .bind(millis(OTHERS))
        .bind(kept())
        .bind(patience)
}

/// No row for one that is in the batch already: what was settled is not settled again.
fn rows_of(settled: &[(Lease, Settle)]) -> Vec<Option<i64>> {
    let mut seen = HashSet::new();
    let first =
        |(lease, _): &(Lease, Settle)| seen.insert((lease.row, lease.attempt, lease.token)).then_some(lease.row);
    settled.iter().map(first).collect()
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn error(attempted: &Attempted) -> String {
    Attempted::shortened(readable(&attempted.error).into_owned())
}

/// What a row becomes.
struct End<'a> {
    state: i16,
    after: Duration,
    hands_back: bool,
    reason: Option<Reason>,
    attempted: Option<&'a Attempted>,
}

impl<'a> End<'a> {
    fn of(settle: &'a Settle) -> Self {
        let end = |state| Self { state, after: Duration::ZERO, hands_back: false, reason: None, attempted: None };
        match settle {
            Settle::Done => end(DONE),
            Settle::Release => Self { hands_back: true, ..end(WAITING) },
            Settle::Retry { after, attempted } => Self { after: *after, attempted: Some(attempted), ..end(WAITING) },
            Settle::Park { after, attempted } => {
                Self { after: *after, hands_back: true, attempted: Some(attempted), ..end(PARKED) }
            }
            Settle::Dead { reason, attempted } => {
                Self { reason: Some(*reason), attempted: Some(attempted), ..end(DEAD) }
            }
        }
    }
}

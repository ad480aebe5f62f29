//! Records: one row a key, one statement a call, each a transaction of its own.

mod complete_in;

use super::{
    super::released::{LATE, RELEASED},
    PostgresStore,
    connections::Call,
    error::UNREADABLE,
    session::Statement,
    time::millis,
};
use crate::{
    error::{BoxFuture, StoreError},
    idempotency::{Begin, Begun, Fence, Fenced, IdempotencyStore, Recorded, StoreKey, StoredResponse},
    token::{StoreId, Token},
};
use sqlx::{Row, postgres::PgRow};
use std::{sync::Arc, time::Duration};

const BEGIN: &str = include_str!("idempotency/begin.sql");
const COMPLETE: &str = include_str!("idempotency/complete.sql");
const RENEW: &str = include_str!("idempotency/renew.sql");
const RELEASE: &str = include_str!("idempotency/release.sql");
const SETTLED: &str = include_str!("idempotency/settled.sql");
const GET: &str = include_str!("idempotency/get.sql");
const SWEEP: &str = include_str!("idempotency/sweep.sql");

const RESPONSE: i16 = 1;
const NOT_RETAINED: i16 = 2;

/// How often a statement is sent that another one overtook: the second finds what that one left. More is needed only where the
/// key is freed and claimed again in between.
const TRIES: usize = 8;

const OVERTAKEN: StoreError = StoreError::new("overtaken by others too often");
const HELD: StoreError = StoreError::new("an open transaction holds the record");

impl IdempotencyStore for PostgresStore {
    fn id(&self) -> StoreId {
        self.id
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Begun, StoreError>> {
        let row = self.ask(Call::FROM_OUTSIDE, begin, |begin, patience| {
            sqlx::query(BEGIN)
                .bind(&begin.key.0[..])
                .bind(i16::from(begin.fingerprint.version))
                .bind(&begin.fingerprint.hash[..])
                .bind(&begin.token.0[..])
                .bind(millis(begin.lease))
                .bind(begin.take_over.as_ref().map(|token| &token.0[..]))
                .bind(patience)
        });
        Box::pin(async move { begun(&row.await?.ok_or(OVERTAKEN)?) })
    }

    fn complete(&self, fence: Fence, recorded: Recorded, keep: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        let (state, response) = columns(&recorded);
        let row = self.ask(
            Call::OF_THE_SERVICE,
            (fence, state, response, keep),
            |(fence, state, response, keep), patience| {
                of(COMPLETE, fence).bind(state).bind(response.as_deref()).bind(millis(*keep)).bind(patience)
            },
        );
        Box::pin(async move { fenced(&row.await?.ok_or(OVERTAKEN)?) })
    }

    fn renew(&self, fence: Fence, lease: Duration) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        let row = self.connections.call(Call::OF_THE_SERVICE, (fence, lease), |mut session, (fence, lease)| {
            Box::pin(async move { Ok(session.optional(of(RENEW, fence).bind(millis(*lease))).await?) })
        });
        Box::pin(async move { fenced(&row.await?.ok_or(HELD)?) })
    }

    fn release(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        let row = self
            .ask(Call::OF_THE_SERVICE, fence, |fence, patience| of(RELEASE, fence).bind(patience).bind(millis(LATE)));
        Box::pin(async move { fenced(&row.await?.ok_or(OVERTAKEN)?) })
    }

    fn settled(&self, fence: Fence) -> BoxFuture<'_, Result<Fenced, StoreError>> {
        let row = self.ask(Call::OF_THE_SERVICE, fence, |fence, patience| of(SETTLED, fence).bind(patience));
        Box::pin(async move { fenced(&row.await?.ok_or(OVERTAKEN)?) })
    }

    fn get(&self, key: StoreKey) -> BoxFuture<'_, Result<Option<Recorded>, StoreError>> {
        let row = self.connections.call(Call::FROM_OUTSIDE, key, |mut session, key| {
            Box::pin(async move { Ok(session.optional(sqlx::query(GET).bind(&key.0[..])).await?) })
        });
        Box::pin(
            async move { row.await?.map(|row| recorded(row.try_get("state")?, row.try_get("response")?)).transpose() },
        )
    }

    fn sweep(&self, most: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let swept = self.connections.call(Call::OF_THE_SERVICE.of_many_rows(), most, |mut session, most| {
            Box::pin(async move { Ok(session.execute(sqlx::query(SWEEP).bind(*most)).await?) })
        });
        Box::pin(async move { Ok(usize::try_from(swept.await?).unwrap_or(usize::MAX)) })
    }
}

impl PostgresStore {
    /// The row that a statement answers with; its last parameter is how long it waits for a lock. Without one it was overtaken, and
    /// is sent again.
    async fn ask<D: Send + Sync + 'static>(
        &self,
        call: Call,
        data: D,
        statement: for<'q> fn(&'q D, &'q str) -> Statement<'q>,
    ) -> Result<Option<PgRow>, StoreError> {
        let data = Arc::new((data, self.patience()));
        for _ in 0..TRIES {
            let row = self.connections.call(call, data.clone(), move |mut session, data| {
                Box::pin(async move { Ok(session.optional(statement(&data.0, &data.1)).await?) })
            });
            if let Some(row) = row.await? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

fn of<'q>(sql: &'static str, fence: &'q Fence) -> Statement<'q> {
    sqlx::query(sql).bind(&fence.key.0[..]).bind(&fence.token.0[..])
}

fn begun(row: &PgRow) -> Result<Begun, StoreError> {
    let attempt = u32::try_from(row.try_get::<i64, _>("attempt")?).unwrap_or(u32::MAX);
    Ok(match row.try_get::<i32, _>("kind")? {
        0 => Begun::Acquired { attempt },
        1 => Begun::Completed(recorded(RESPONSE, row.try_get("response")?)?),
        2 => Begun::Completed(Recorded::NotRetained),
        3 => Begun::InFlight {
            lease_left: Duration::from_millis(row.try_get::<i64, _>("left_ms")?.try_into().unwrap_or(0)),
        },
        4 => {
            let token = row.try_get::<&[u8], _>("token")?.try_into().map_err(|_| UNREADABLE)?;
            Begun::Lapsed { stale: Token(token), attempt }
        }
        5 => Begun::Mismatch,
        6 => return Err(RELEASED),
        _ => return Err(UNREADABLE),
    })
}

fn fenced(row: &PgRow) -> Result<Fenced, StoreError> {
    Ok(match row.try_get::<i32, _>("fenced")? {
        0 => Fenced::Done,
        1 => Fenced::Already,
        _ => Fenced::Lost,
    })
}

/// State and response.
fn columns(recorded: &Recorded) -> (i16, Option<Vec<u8>>) {
    match recorded {
        Recorded::Response(response) => (RESPONSE, Some(response.encode())),
        Recorded::NotRetained => (NOT_RETAINED, None),
    }
}

fn recorded(state: i16, response: Option<Vec<u8>>) -> Result<Recorded, StoreError> {
    match (state, response) {
        (NOT_RETAINED, _) => Ok(Recorded::NotRetained),
        (_, Some(response)) => StoredResponse::decode(response).map(Recorded::Response).ok_or(UNREADABLE),
        (_, None) => Err(UNREADABLE),
    }
}

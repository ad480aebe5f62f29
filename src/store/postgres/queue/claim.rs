use super::{
    super::{PostgresStore, connections::Call, error::UNREADABLE, time::millis},
    column::{date, headers_in, int, kept, limit, name, uint},
};
use crate::{
    error::StoreError,
    queue::{Claim, Lease, Message, MessageId, NewMessage},
    telemetry::event,
    token::Token,
};
use sqlx::{Row, postgres::PgRow};
use std::sync::Arc;

/// Messages that one call buries, about: a queue that was left alone for a week must not hold a worker up.
const BURIED: usize = 1_000;
/// Rows that are looked at once some were found to be over.
const LOOK: usize = 250;

/// One statement, and another one for each [`LOOK`] rows that were over and stood in the way.
pub(super) async fn claim(store: &PostgresStore, queue: &str, claim: Claim) -> Result<Vec<Message>, StoreError> {
    let queue: Arc<str> = name(queue)?.into();
    let (mut claimed, mut buried, mut look) = (Vec::new(), 0, claim.limit);
    while claimed.len() < claim.limit && buried < BURIED {
        let most = claim.limit - claimed.len();
        match round(store, &queue, claim, look.max(most), most).await {
            Ok(round) => {
                claimed.extend(round.claimed);
                buried += round.ended;
                if round.ended == 0 || round.seen < look.max(most) {
                    break;
                }
                look = LOOK;
            }
            Err(error) if claimed.is_empty() => return Err(error),
            // theirs already: who asks again is told
            Err(_) => break,
        }
    }
    Ok(claimed)
}

struct Round {
    claimed: Vec<Message>,
    seen: usize,
    ended: usize,
}

async fn round(
    store: &PostgresStore,
    queue: &Arc<str>,
    claim: Claim,
    look: usize,
    most: usize,
) -> Result<Round, StoreError> {
    let rows = store.connections.call(Call::OF_THE_SERVICE, queue.clone(), move |mut session, queue| {
        let statement = sqlx::query(include_str!("sql/claim.sql"))
            .bind(&**queue)
            .bind(limit(look))
            .bind(limit(most))
            .bind(int(claim.max_attempts))
            // at least a moment, so that what is claimed here is not due again here
            .bind(millis(claim.lease).max(1))
            .bind(kept());
        Box::pin(async move { Ok(session.all(statement).await?) })
    });
    let rows = rows.await?;
    let first = rows.first().ok_or(UNREADABLE)?;
    let count = |column| Ok::<_, StoreError>(usize::try_from(first.try_get::<i64, _>(column)?).unwrap_or(0));
    let (seen, ended) = (count("seen")?, count("ended")?);
    let mut claimed = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(number) = row.try_get("row_id")? {
            match message(queue, row, number) {
                Ok(message) => claimed.push(message),
                // left to lapse, and in the end to die as crashed: those beside it are not held up by it
                Err(error) => {
                    event!(
                        ERROR,
                        "a message cannot be read",
                        queue = &**queue,
                        row = number,
                        error = error.to_string()
                    );
                }
            }
        }
    }
    Ok(Round { claimed, seen, ended })
}

fn message(queue: &Arc<str>, row: &PgRow, number: i64) -> Result<Message, StoreError> {
    let token = Token(row.try_get("token")?);
    let lease = Lease { id: MessageId(row.try_get("id")?), row: number, attempt: uint(row.try_get("attempt")?), token };
    let headers = headers_in(row.try_get("headers")?)?;
    let mut message = NewMessage::new(row.try_get::<Vec<u8>, _>("body")?).with_headers(headers);
    message.topic = row.try_get("topic")?;
    message.destination = row.try_get("destination")?;
    let enqueued_at = date(row.try_get("enqueued_at")?);
    let message = Message::claimed(queue.clone(), lease, uint(row.try_get("epoch")?), enqueued_at, message);
    Ok(message.with_waits(uint(row.try_get("not_sent")?), uint(row.try_get("refused")?)))
}

use super::{
    super::{PostgresStore, connections::Call, error::UNREADABLE, session::Session, time::millis},
    column::{exact, headers_out, name},
    key::{Key, keys},
};
use crate::{
    error::StoreError,
    queue::{Enqueued, MessageId, NewMessage, Queue},
};
use sqlx::{Postgres, Row, Transaction};
use std::{collections::HashMap, time::Duration};

/// What one statement carries at most: Postgres takes no more than 1 GB at once, and copies it more than once.
const CHUNK: usize = 1_000;
const CHUNK_BYTES: usize = 16 << 20;
/// What is more than this has as much time as calls that look at many rows.
const FEW: usize = 100;
const FEW_BYTES: usize = 1 << 20;

impl PostgresStore {
    /// Enqueues a message in the user's own transaction: it is there exactly if everything else that the transaction writes is,
    /// and whoever waits for the queue, in any process, is woken by the commit.
    ///
    /// Where a transaction that is still open has brought the same dedupe key, this waits until that one has ended: whether
    /// the message is a duplicate is not known before.
    ///
    /// # Errors
    /// When the queue is in another store; nothing was sent then. Any other error is Postgres' own, and the transaction is
    /// aborted: it can only be rolled back. Under `REPEATABLE READ` and `SERIALIZABLE` that may be a serialization failure,
    /// as with any statement there: the transaction is to be run again.
    pub async fn enqueue_in(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        queue: &Queue,
        message: NewMessage,
    ) -> Result<Enqueued, StoreError> {
        if queue.store().id() != self.id {
            return Err(StoreError::new("the queue belongs to another store"));
        }
        let mut session = Session::new(tx, self.connections.prepares);
        // how long to wait for others is the user's as well
        let answers = enqueue(&mut session, None, name(queue.name())?, &[message]).await?;
        answers.into_iter().next().ok_or(UNREADABLE)
    }
}

/// All or none, in one commit.
pub(super) async fn enqueue_all(
    store: &PostgresStore,
    queue: &str,
    batch: Vec<NewMessage>,
) -> Result<Vec<Enqueued>, StoreError> {
    let queue = name(queue)?;
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let chunks = chunks(&batch).len();
    let bytes = batch.iter().map(|message| message.body().len()).sum::<usize>();
    let call =
        if batch.len() > FEW || bytes > FEW_BYTES { Call::FROM_OUTSIDE.of_many_rows() } else { Call::FROM_OUTSIDE };
    let is_one = chunks == 1 && !any_has_several_keys(&batch);
    let call = if is_one { call } else { call.in_transaction(chunks) };
    let data = (store.patience(), queue.to_owned(), batch);
    let answers = store.connections.call(call, data, |session, (patience, queue, batch)| {
        Box::pin(enqueue_chunks(session, patience, queue, batch))
    });
    let answers = answers.await?;
    store.listener.wake(queue);
    Ok(answers)
}

async fn enqueue_chunks(
    mut session: Session<'_>,
    patience: &str,
    queue: &str,
    batch: &[NewMessage],
) -> Result<Vec<Enqueued>, StoreError> {
    let mut answers = Vec::with_capacity(batch.len());
    for chunk in chunks(batch) {
        answers.extend(enqueue(&mut session, Some(patience), queue, chunk).await?);
    }
    Ok(answers)
}

fn chunks(mut batch: &[NewMessage]) -> Vec<&[NewMessage]> {
    let mut chunks = Vec::new();
    while !batch.is_empty() {
        let mut bytes = 0_usize;
        let fits = batch.iter().take(CHUNK).take_while(|message| {
            bytes = bytes.saturating_add(message.body().len());
            bytes <= CHUNK_BYTES
        });
        // one that is larger goes alone
        let (chunk, rest) = batch.split_at(fits.count().max(1));
        chunks.push(chunk);
        batch = rest;
    }
    chunks
}

fn any_has_several_keys(batch: &[NewMessage]) -> bool {
    batch.iter().any(|message| message.dedupe().len() > 1)
}

/// The keys of one message, with their windows.
type Keys<'a> = Vec<(Key<'a>, Duration)>;

/// What one message of a batch comes to, as far as the batch itself tells.
enum Planned {
    Known(MessageId),
    /// A message before it in the batch has one of its keys.
    Like(usize),
    New,
}

/// One statement. Where a message has several keys a statement before it that holds them all: which of them may be taken is
/// not known before all of them are. What that leaves if this is dropped in between is a key whose window is over.
///
/// `patience`: for how long it waits for a lock, if not as the transaction says.
async fn enqueue(
    session: &mut Session<'_>,
    patience: Option<&str>,
    queue: &str,
    batch: &[NewMessage],
) -> Result<Vec<Enqueued>, StoreError> {
    let keys: Vec<Keys<'_>> = batch.iter().map(keys).collect();
    let known = if any_has_several_keys(batch) { hold(session, queue, &keys, patience).await? } else { HashMap::new() };
    let mut brought: HashMap<&Key<'_>, usize> = HashMap::new();
    let mut plan = Vec::with_capacity(batch.len());
    for (n, keys) in keys.iter().enumerate() {
        if let Some(first) = keys.iter().find_map(|(key, _)| known.get(&**key)) {
            plan.push(Planned::Known(*first));
        } else if let Some(first) = keys.iter().find_map(|(key, _)| brought.get(key)) {
            plan.push(Planned::Like(*first));
        } else {
            brought.extend(keys.iter().map(|(key, _)| (key, n)));
            plan.push(Planned::New);
        }
    }
    let ids: Vec<MessageId> = batch.iter().map(|_| MessageId::new()).collect();
    let new: Vec<usize> = (0..batch.len()).filter(|n| matches!(plan[*n], Planned::New)).collect();
    let holders =
        if new.is_empty() { HashMap::new() } else { store(session, patience, queue, batch, &keys, &ids, &new).await? };
    let answer = |n: usize| holders.get(&ids[n]).map_or(Enqueued::New(ids[n]), |holder| Enqueued::Duplicate(*holder));
    let answers = plan.iter().enumerate().map(|(n, planned)| match planned {
        Planned::Known(first) => Enqueued::Duplicate(*first),
        Planned::Like(first) => Enqueued::Duplicate(answer(*first).id()),
        Planned::New => answer(n),
    });
    Ok(answers.collect())
}

/// Who holds which of these keys; none of them changes until the transaction ends.
async fn hold(
    session: &mut Session<'_>,
    queue: &str,
    keys: &[Keys<'_>],
    patience: Option<&str>,
) -> Result<HashMap<Vec<u8>, MessageId>, StoreError> {
    let mut all: Vec<&[u8]> = keys.iter().flatten().map(|(key, _)| &**key).collect();
    all.sort_unstable();
    all.dedup();
    let hold = sqlx::query(include_str!("sql/hold.sql"))
        .bind(queue)
        .bind(MessageId::new().to_string())
        .bind(all)
        .bind(patience);
    let rows = session.all(hold).await?;
    rows.iter().map(|row| Ok((row.try_get("key")?, MessageId(row.try_get("id")?)))).collect()
}

/// Stores the new ones. Answers for those that are not: whose key one of theirs is.
async fn store(
    session: &mut Session<'_>,
    patience: Option<&str>,
    queue: &str,
    batch: &[NewMessage],
    keys: &[Keys<'_>],
    ids: &[MessageId],
    new: &[usize],
) -> Result<HashMap<MessageId, MessageId>, StoreError> {
    let messages = || new.iter().map(|n| &batch[*n]);
    let topics: Vec<_> = messages().map(|message| exact(message.topic())).collect::<Result<_, _>>()?;
    let destinations: Vec<_> = messages().map(|message| exact(message.destination())).collect::<Result<_, _>>()?;
    let brought = || new.iter().flat_map(|n| keys[*n].iter().map(|(key, window)| (key, *window, ids[*n])));
    let store = sqlx::query(include_str!("sql/enqueue.sql"))
        .bind(queue)
        .bind(new.iter().map(|n| ids[*n].to_string()).collect::<Vec<_>>())
        .bind(messages().map(|message| millis(message.delay())).collect::<Vec<_>>())
        .bind(messages().map(|message| millis(message.max_age())).collect::<Vec<_>>())
        .bind(&topics)
        .bind(&destinations)
        .bind(messages().map(|message| headers_out(message.headers())).collect::<Vec<_>>())
        .bind(messages().map(|message| &message.body()[..]).collect::<Vec<_>>())
        .bind(brought().map(|(key, ..)| &**key).collect::<Vec<_>>())
        .bind(brought().map(|(_, _, id)| id.to_string()).collect::<Vec<_>>())
        .bind(brought().map(|(_, window, _)| millis(window)).collect::<Vec<_>>())
        .bind(patience);
    let rows = session.all(store).await?;
    let mut holders = HashMap::new();
    for row in rows {
        if let (Some(id), Some(holder)) = (row.try_get("id")?, row.try_get("holder")?) {
            holders.insert(MessageId(id), MessageId(holder));
        }
    }
    Ok(holders)
}

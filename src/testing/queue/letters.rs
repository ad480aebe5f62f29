use super::{
    LONG, PASSED, SHORT, attempted, claim, dead, enqueue, law, letter, none_to_claim, only, queue, retry, settle, up_to,
};
use crate::{
    error::BoxError,
    queue::{Attempted, Enqueued, Filter, LeaseLost, MessageId, NewMessage, QueueStore, Reason, Settle},
};
use http::{HeaderMap, HeaderValue};
use std::time::{Duration, SystemTime};
use tokio::time::sleep;

pub(super) async fn letters_tell_all(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", HeaderValue::from_static("00-1-2-01"));
    let new = NewMessage::new("body").with_topic("t").with_destination("d").with_headers(headers.clone());
    let id = enqueue(store, &queue, new).await?;
    let long = "\u{e9}".repeat(Attempted::ERROR);
    for n in 1..=Attempted::KEPT + 3 {
        let message = claim(store, &queue, LONG).await?;
        let error = if n == Attempted::KEPT { long.clone() } else { n.to_string() };
        let entry = attempted(&message, "fault", &error);
        law(
            settle(store, &message, Settle::Retry { after: Duration::ZERO, attempted: entry }).await?.is_ok(),
            "again",
        )?;
    }
    let message = claim(store, &queue, LONG).await?;
    law(settle(store, &message, dead(&message, Reason::Rejected)).await?.is_ok(), "it dies")?;
    let letter = letter(store, &queue).await?;
    law(
        letter.id == id && letter.reason == Reason::Rejected && letter.epoch == 0,
        "a letter has id, reason and epoch",
    )?;
    law(letter.body == "body" && letter.headers == headers, "it has body and headers")?;
    law(letter.topic.as_deref() == Some("t") && letter.destination.as_deref() == Some("d"), "topic and destination")?;
    law(letter.attempts as usize == Attempted::KEPT + 4, "and all attempts are counted")?;
    law(letter.died_at >= letter.enqueued_at, "it died after it was enqueued")?;
    law(letter.history.len() == Attempted::KEPT, "its history is bounded")?;
    law(letter.history.last().is_some_and(|entry| entry.outcome == "rejected"), "with the newest last")?;
    law(letter.history[0].error == "5", "and the oldest given up first")?;
    let entry = &letter.history[1];
    law(entry.attempt == 6 && entry.status == Some(500), "an entry has attempt and status")?;
    law(entry.duration == Duration::from_millis(7), "and duration")?;
    law(entry.at >= letter.enqueued_at && entry.at <= letter.died_at, "it is dated by the store's clock")?;
    law(letter.history.iter().all(|entry| entry.error.len() <= Attempted::ERROR), "an error is kept up to its bound")
}

pub(super) async fn letters_are_found_by_filter_and_cursor(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    let batch = (0..6).map(|n| NewMessage::new("").with_topic(if n < 4 { "a" } else { "b" }).with_destination("d"));
    let ids: Vec<_> = store.enqueue(&queue, batch.collect()).await?.into_iter().map(Enqueued::id).collect();
    for (n, message) in store.claim(&queue, up_to(10, LONG)).await?.iter().enumerate() {
        let reason = if n % 2 == 0 { Reason::Rejected } else { Reason::Exhausted };
        law(settle(store, message, dead(message, reason)).await?.is_ok(), "it dies")?;
    }
    let mut sorted = ids.clone();
    sorted.sort();
    let first = found(store, &queue, &Filter::all(), None, 4).await?;
    law(first == sorted[..4], "letters come in the order of their ids, no more than asked for")?;
    let rest = found(store, &queue, &Filter::all(), first.last().copied(), 4).await?;
    law(rest == sorted[4..], "and go on after the cursor")?;
    let all = async |filter: Filter| found(store, &queue, &filter, None, 10).await;
    law(all(Filter::all().topic("b")).await?.len() == 2, "by topic")?;
    law(all(Filter::all().destination("d")).await?.len() == 6, "by destination")?;
    law(all(Filter::all().destination("e")).await?.is_empty(), "by destination, none")?;
    law(all(Filter::all().reason(Reason::Rejected)).await?.len() == 3, "by reason")?;
    law(all(Filter::all().reason(Reason::Rejected).topic("a")).await?.len() == 2, "by all that is set, together")?;
    law(all(Filter::ids([ids[1], ids[5]])).await?.len() == 2, "by ids")?;
    law(all(Filter::ids([])).await?.is_empty(), "by no ids, none")?;
    law(all(Filter::id(MessageId::new())).await?.is_empty(), "by an id that is not there, none")?;
    law(all(Filter::all().died_after(SystemTime::UNIX_EPOCH)).await?.len() == 6, "by the moment since when")?;
    law(all(Filter::all().died_before(SystemTime::UNIX_EPOCH)).await?.is_empty(), "by the moment before which")
}

async fn found(
    store: &dyn QueueStore,
    queue: &str,
    filter: &Filter,
    cursor: Option<MessageId>,
    limit: usize,
) -> Result<Vec<MessageId>, BoxError> {
    Ok(store.dead(queue, filter, cursor, limit).await?.into_iter().map(|letter| letter.id).collect())
}

pub(super) async fn a_redrive_begins_anew(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    for (reason, epoch) in [(Reason::Rejected, 1), (Reason::Undecodable, 1), (Reason::Exhausted, 0)] {
        let id = enqueue(store, &queue, NewMessage::new("").with_max_age(LONG)).await?;
        let message = claim(store, &queue, LONG).await?;
        law(settle(store, &message, retry(&message, Duration::ZERO)).await?.is_ok(), "a failure")?;
        let message = claim(store, &queue, LONG).await?;
        law(settle(store, &message, dead(&message, reason)).await?.is_ok(), "it dies")?;
        let unknown = MessageId::new();
        law(store.redrive(&queue, &[unknown, id, id], "me").await? == 1, "a redrive tells how many were dead")?;
        let again = claim(store, &queue, LONG).await?;
        law(again.id() == id && again.attempt() == 1, "a redriven message is ready, with no attempt used")?;
        law(again.epoch() == epoch, "the epoch rises only where nothing was done for certain")?;
        law(settle(store, &message, Settle::Done).await? == Err(LeaseLost), "what held it before is stale")?;
        law(settle(store, &again, dead(&again, reason)).await?.is_ok(), "it dies again")?;
        let history = letter(store, &queue).await?.history;
        let outcomes: Vec<_> = history.iter().map(|entry| entry.outcome.as_str()).collect();
        law(outcomes == ["fault", "rejected", "redriven", "rejected"], "history is kept, and has the redrive")?;
        law(history[2].error == "me", "and who did it")?;
        law(store.purge(&queue, &[id]).await? == 1, "gone")?;
    }
    let id = enqueue(store, &queue, NewMessage::new("").with_max_age(SHORT)).await?;
    sleep(PASSED).await;
    none_to_claim(store, &queue, "too old").await?;
    law(store.redrive(&queue, &[id], "me").await? == 1, "what was too old is redriven")?;
    law(claim(store, &queue, LONG).await?.id() == id, "and has a new age")
}

pub(super) async fn a_purge_is_for_good(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    let id = enqueue(store, &queue, NewMessage::new("").with_dedupe("k")).await?;
    law(store.purge(&queue, &[id]).await? == 0, "only what is dead is purged")?;
    let message = claim(store, &queue, LONG).await?;
    law(settle(store, &message, dead(&message, Reason::Rejected)).await?.is_ok(), "it dies")?;
    law(store.purge(&queue, &[id, id, MessageId::new()]).await? == 1, "a purge tells how many were dead")?;
    law(store.dead(&queue, &Filter::all(), None, 10).await?.is_empty(), "what is purged is gone")?;
    law(store.redrive(&queue, &[id], "me").await? == 0, "and is not redriven")?;
    let again = only(store.enqueue(&queue, vec![NewMessage::new("").with_dedupe("k")]).await?)?;
    law(matches!(again, Enqueued::New(other) if other != id), "nor are its keys known")
}

pub(super) async fn a_purge_leaves_the_keys_of_others(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    let keyed = |key: &str, window| NewMessage::new("").with_dedupe(key).with_dedupe_for(window);
    let first = enqueue(store, &queue, keyed("taken", SHORT).with_dedupe("twice").with_dedupe("twice")).await?;
    let message = claim(store, &queue, LONG).await?;
    law(settle(store, &message, dead(&message, Reason::Rejected)).await?.is_ok(), "it dies")?;
    sleep(PASSED).await;
    let second = enqueue(store, &queue, keyed("taken", LONG)).await?;
    let third = enqueue(store, &queue, keyed("other", LONG)).await?;
    law(store.purge(&queue, &[first, second]).await? == 1, "one of them is dead")?;
    let again = store.enqueue(&queue, ["taken", "other", "twice"].map(|key| keyed(key, LONG)).into()).await?;
    law(again[..2] == [Enqueued::Duplicate(second), Enqueued::Duplicate(third)], "a purge forgets no key of another")?;
    law(matches!(again[2], Enqueued::New(_)), "and each of its own")
}

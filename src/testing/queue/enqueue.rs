use super::{LONG, PASSED, SHORT, claim, dead, enqueue, law, none_to_claim, only, queue, settle, up_to};
use crate::{
    dedupe::DedupeKeys,
    error::BoxError,
    queue::{Enqueued, Filter, Message, NewMessage, QueueStore, Reason, Settle},
};
use http::{HeaderMap, HeaderValue};
use std::time::Duration;
use tokio::time::sleep;

pub(super) async fn what_is_enqueued_is_claimed_as_it_was(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    law(store.id() == store.id(), "a store has one id")?;
    law(store.enqueue(&queue, Vec::new()).await?.is_empty(), "an empty batch is enqueued as nothing")?;
    none_to_claim(store, &queue, "an unknown queue is empty").await?;
    let mut headers = HeaderMap::new();
    headers.append("x-twice", HeaderValue::from_static("one"));
    headers.append("x-twice", HeaderValue::from_static("two"));
    headers.append("x-bytes", HeaderValue::from_bytes(b"caf\xe9")?);
    let body: Vec<u8> = (0..=u8::MAX).cycle().take(70_000).collect();
    let full = NewMessage::new(body.clone()).with_headers(headers.clone()).with_topic("orders").with_destination("crm");
    let id = enqueue(store, &queue, full).await?;
    let message = claim(store, &queue, LONG).await?;
    law(message.id() == id && message.queue() == queue, "a message is claimed by the id that enqueue gave")?;
    law(message.attempt() == 1 && message.epoch() == 0, "a first claim is attempt 1 of epoch 0")?;
    law(message.body() == &body && message.headers() == &headers, "body and headers come back as they were")?;
    law(message.topic() == Some("orders") && message.destination() == Some("crm"), "so do topic and destination")?;
    none_to_claim(store, &queue, "a claimed message is not claimed again").await?;
    let bare = enqueue(store, &queue, NewMessage::new("")).await?;
    let message = claim(store, &queue, LONG).await?;
    law(message.id() == bare && bare != id, "every message has its own id")?;
    law(message.body().is_empty() && message.headers().is_empty(), "nothing stays nothing")?;
    law(message.topic().is_none() && message.destination().is_none(), "and none stays none")
}

pub(super) async fn a_known_key_makes_a_duplicate(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    let batch = ["1", "2", "1"].map(|key| NewMessage::new("in a batch").with_dedupe(key));
    let answers = store.enqueue(&queue, batch.into()).await?;
    let [Enqueued::New(first), Enqueued::New(second), Enqueued::Duplicate(of)] = answers[..] else {
        return law(false, "of two with one key in a batch the second is a duplicate");
    };
    law(of == first && first != second, "a duplicate names the message that brought the key")?;
    let two_keys = NewMessage::new("").with_dedupe("3").with_dedupe("2");
    let answer = only(store.enqueue(&queue, vec![two_keys]).await?)?;
    law(answer == Enqueued::Duplicate(second), "one known key of several is enough")?;
    let answer = only(store.enqueue(&queue, vec![NewMessage::new("").with_dedupe("3")]).await?)?;
    law(matches!(answer, Enqueued::New(_)), "a duplicate brings no keys of its own")?;
    let claimed = store.claim(&queue, up_to(10, LONG)).await?;
    law(claimed.len() == 3, "a duplicate is not stored")?;
    for message in &claimed {
        law(settle(store, message, Settle::Done).await?.is_ok(), "a claimed message is done")?;
    }
    store.sweep(&queue, Duration::ZERO, 100).await?;
    let answer = only(store.enqueue(&queue, vec![NewMessage::new("").with_dedupe("1")]).await?)?;
    law(answer == Enqueued::Duplicate(first), "a key is known after its message is done and gone")
}

pub(super) async fn the_window_of_a_key_ends(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    let keyed = || NewMessage::new("").with_dedupe("k").with_dedupe_for(SHORT);
    let first = enqueue(store, &queue, keyed()).await?;
    sleep(PASSED).await;
    let again = only(store.enqueue(&queue, vec![keyed().with_dedupe_for(LONG)]).await?)?;
    law(matches!(again, Enqueued::New(id) if id != first), "a key whose window is over is free")?;
    sleep(PASSED).await;
    store.sweep(&queue, Duration::ZERO, 100).await?;
    let third = only(store.enqueue(&queue, vec![keyed()]).await?)?;
    law(third == Enqueued::Duplicate(again.id()), "and belongs to whoever brought it last")
}

pub(super) async fn a_key_is_known_within_its_destination(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    let to = |destination: &str| NewMessage::new("").with_dedupe("k").with_destination(destination);
    // the last two would be one key if destination and key were only put together
    let others = [to("crm"), to("mail"), NewMessage::new("").with_dedupe("k"), to("crmk").with_dedupe("1"), to("crm1")];
    let first: Vec<_> = store.enqueue(&queue, others.to_vec()).await?;
    law(
        first.iter().all(|answer| matches!(answer, Enqueued::New(_))),
        "the same key of another destination is another",
    )?;
    let second: Vec<_> = store.enqueue(&queue, others.to_vec()).await?;
    let known = first.iter().map(|answer| Enqueued::Duplicate(answer.id()));
    law(second.into_iter().eq(known), "and each is known in its own")
}

pub(super) async fn a_key_may_have_a_window_of_its_own(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    let keyed = |id: &str| {
        let keys = DedupeKeys::new(id).and_for("digest", SHORT);
        NewMessage::new("").with_dedupe_keys(keys).with_dedupe_for(LONG)
    };
    let first = enqueue(store, &queue, keyed("1")).await?;
    let again = only(store.enqueue(&queue, vec![keyed("2")]).await?)?;
    law(again == Enqueued::Duplicate(first), "a key is known within its window")?;
    sleep(PASSED).await;
    let again = only(store.enqueue(&queue, vec![keyed("1")]).await?)?;
    law(again == Enqueued::Duplicate(first), "a window that is over leaves the other keys")?;
    let third = only(store.enqueue(&queue, vec![keyed("3")]).await?)?;
    law(matches!(third, Enqueued::New(_)), "a key is free after its own window")
}

pub(super) async fn those_that_waited_longest_are_claimed_first(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    let late = enqueue(store, &queue, NewMessage::new("").with_delay(SHORT)).await?;
    let batch: Vec<_> = (0..5_u8).map(|n| NewMessage::new(vec![n])).collect();
    let ids: Vec<_> = store.enqueue(&queue, batch).await?.into_iter().map(Enqueued::id).collect();
    let claimed = store.claim(&queue, up_to(3, LONG)).await?;
    law(claimed.len() == 3, "a claim takes no more than it asked for")?;
    law(claimed.iter().map(Message::id).eq(ids[..3].iter().copied()), "messages are claimed in the order of a batch")?;
    sleep(PASSED).await;
    let rest = store.claim(&queue, up_to(10, LONG)).await?;
    let expected = ids[3..].iter().copied().chain([late]);
    law(rest.iter().map(Message::id).eq(expected), "and what was delayed after what had waited longer")
}

pub(super) async fn queues_are_apart(store: &dyn QueueStore) -> Result<(), BoxError> {
    let (one, other) = (queue(), queue());
    let id = enqueue(store, &one, NewMessage::new("").with_dedupe("k")).await?;
    let answer = only(store.enqueue(&other, vec![NewMessage::new("").with_dedupe("k")]).await?)?;
    law(matches!(answer, Enqueued::New(_)), "a key is known in its own queue only")?;
    let message = claim(store, &one, LONG).await?;
    law(message.id() == id, "a claim takes from its own queue only")?;
    law(settle(store, &message, dead(&message, Reason::Rejected)).await?.is_ok(), "it dies")?;
    law(store.dead(&other, &Filter::all(), None, 10).await?.is_empty(), "letters lie in their own queue only")?;
    law(store.redrive(&other, &[id], "me").await? == 0, "and are redriven there only")?;
    law(store.purge(&other, &[id]).await? == 0, "and purged there only")?;
    law(store.dead(&one, &Filter::all(), None, 10).await?.len() == 1, "so it is still there")
}

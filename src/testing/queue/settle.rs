use super::{
    LONG, PASSED, SHORT, attempted, claim, dead, enqueue, extend, law, letter, none_to_claim, only, park, queue, retry,
    settle, up_to,
};
use crate::{
    error::BoxError,
    queue::{Filter, LeaseLost, Message, NewMessage, QueueStore, Reason, Settle},
};
use std::time::Duration;
use tokio::time::sleep;

pub(super) async fn settled_is_settled(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    enqueue(store, &queue, NewMessage::new("")).await?;
    let message = claim(store, &queue, LONG).await?;
    law(settle(store, &message, Settle::Done).await?.is_ok(), "a message is done")?;
    law(settle(store, &message, Settle::Done).await? == Err(LeaseLost), "and is not settled twice")?;
    law(extend(store, &message, LONG).await? == Err(LeaseLost), "nor extended")?;
    none_to_claim(store, &queue, "nor claimed").await?;
    law(store.redrive(&queue, &[message.id()], "me").await? == 0, "what is done is no dead letter")
}

pub(super) async fn a_retry_counts_and_a_wait_does_not(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    enqueue(store, &queue, NewMessage::new("")).await?;
    let first = claim(store, &queue, LONG).await?;
    law(settle(store, &first, retry(&first, SHORT)).await?.is_ok(), "a message is tried again")?;
    none_to_claim(store, &queue, "not before its time").await?;
    sleep(PASSED).await;
    let second = claim(store, &queue, LONG).await?;
    law(second.attempt() == 2, "a retry counts")?;
    law(settle(store, &second, park(&second, SHORT)).await?.is_ok(), "a message is parked")?;
    none_to_claim(store, &queue, "a parked message waits").await?;
    sleep(PASSED).await;
    let third = claim(store, &queue, LONG).await?;
    law(third.attempt() == 2, "a wait hands the attempt back")?;
    law(settle(store, &third, park(&third, Duration::ZERO)).await?.is_ok(), "and again")?;
    let fourth = claim(store, &queue, LONG).await?;
    law(settle(store, &fourth, Settle::Release).await?.is_ok(), "what was not begun is released")?;
    let fifth = claim(store, &queue, LONG).await?;
    law(fifth.attempt() == 2, "a release hands the attempt back, and is ready at once")?;
    law(settle(store, &fifth, dead(&fifth, Reason::Exhausted)).await?.is_ok(), "it dies")?;
    let outcomes: Vec<_> = letter(store, &queue).await?.history.into_iter().map(|entry| entry.outcome).collect();
    let kept = ["fault", "refused", "rejected"];
    law(outcomes == kept, "one wait right after another is one entry, and a release is none")
}

pub(super) async fn what_used_no_attempt_is_counted_apart(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    enqueue(store, &queue, NewMessage::new("")).await?;
    let waits = ["not_sent", "refused", "not_sent", "overloaded", "ignored", "not_sent"];
    let expected = [(0, 0), (1, 0), (1, 1), (2, 1), (2, 1), (2, 1)];
    for (outcome, (not_sent, refused)) in waits.into_iter().zip(expected) {
        let message = claim(store, &queue, LONG).await?;
        law(message.attempt() == 1, "a wait hands the attempt back")?;
        law(
            (message.not_sent(), message.refused()) == (not_sent, refused),
            "each wait raises the counter of its outcome",
        )?;
        let wait = Settle::Park { after: Duration::ZERO, attempted: attempted(&message, outcome, "not now") };
        law(settle(store, &message, wait).await?.is_ok(), "it waits")?;
    }
    let message = claim(store, &queue, LONG).await?;
    let again = Settle::Retry { after: Duration::ZERO, attempted: attempted(&message, "not_sent", "an attempt") };
    law(settle(store, &message, again).await?.is_ok(), "it is tried again")?;
    let message = claim(store, &queue, LONG).await?;
    law((message.attempt(), message.not_sent(), message.refused()) == (2, 3, 1), "an attempt raises none of them")?;
    law(settle(store, &message, dead(&message, Reason::Exhausted)).await?.is_ok(), "it dies")?;
    let letter = letter(store, &queue).await?;
    law((letter.attempts, letter.not_sent, letter.refused) == (2, 3, 1), "a letter has the counters")?;
    law(store.redrive(&queue, &[message.id()], "me").await? == 1, "it is redriven")?;
    let message = claim(store, &queue, LONG).await?;
    law((message.not_sent(), message.refused()) == (0, 0), "a redrive counts from zero")
}

pub(super) async fn any_wait_is_survived(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    let far = Duration::MAX;
    let forever = NewMessage::new("").with_delay(far).with_max_age(far).with_dedupe("k").with_dedupe_for(far);
    enqueue(store, &queue, forever).await?;
    none_to_claim(store, &queue, "a delay for ever is one").await?;
    for _ in 0..2 {
        enqueue(store, &queue, NewMessage::new("")).await?;
    }
    let claimed = store.claim(&queue, up_to(2, far)).await?;
    let [one, other] = &claimed[..] else { return law(false, "a lease for ever is one") };
    law(extend(store, one, far).await?.is_ok(), "so is an extension")?;
    law(settle(store, one, retry(one, far)).await?.is_ok(), "so is a wait before a retry")?;
    law(settle(store, other, park(other, far)).await?.is_ok(), "so is a parked message's")?;
    none_to_claim(store, &queue, "and none of them comes to an end").await?;
    store.sweep(&queue, far, 100).await?;
    let all = usize::MAX;
    law(store.claim(&queue, up_to(all, LONG)).await?.is_empty(), "no limit is too large for a claim")?;
    law(store.dead(&queue, &Filter::all(), None, all).await?.is_empty(), "nor for a list")?;
    law(store.sweep(&queue, far, all).await? == 0, "nor for a sweep")
}

pub(super) async fn what_is_too_old_ends(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    enqueue(store, &queue, NewMessage::new("old").with_max_age(SHORT)).await?;
    let delayed = NewMessage::new("late").with_delay(SHORT).with_max_age(LONG);
    let delayed = enqueue(store, &queue, delayed).await?;
    sleep(PASSED).await;
    let claimed = only(store.claim(&queue, up_to(10, LONG)).await?)?;
    law(claimed.id() == delayed, "what is too old is not claimed")?;
    let letter = letter(store, &queue).await?;
    law(letter.reason == Reason::Expired && letter.body == "old", "it is dead as expired")?;
    let queue = self::queue();
    enqueue(store, &queue, NewMessage::new("").with_delay(SHORT * 4).with_max_age(SHORT * 3)).await?;
    sleep(SHORT * 4 + Duration::from_millis(20)).await;
    claim(store, &queue, LONG).await.map_err(|_| "broken law: age counts from the end of the delay")?;
    let queue = super::queue();
    for _ in 0..2 {
        enqueue(store, &queue, NewMessage::new("").with_max_age(SHORT)).await?;
    }
    let claimed = store.claim(&queue, up_to(2, LONG)).await?;
    let [one, other] = &claimed[..] else { return law(false, "two are claimed") };
    law(settle(store, one, park(one, LONG)).await?.is_ok(), "parked")?;
    law(settle(store, other, retry(other, LONG)).await?.is_ok(), "to be tried again")?;
    sleep(PASSED).await;
    none_to_claim(store, &queue, "what became too old while it waited is not claimed").await?;
    let letters = store.dead(&queue, &Filter::all(), None, 10).await?;
    let expired = letters.iter().filter(|letter| letter.reason == Reason::Expired).count();
    law(expired == 2, "no wait outlasts the greatest age")
}

pub(super) async fn a_sweep_takes_what_is_over(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    for _ in 0..5 {
        enqueue(store, &queue, NewMessage::new("")).await?;
    }
    let claimed = store.claim(&queue, up_to(5, LONG)).await?;
    for message in &claimed[..3] {
        law(settle(store, message, Settle::Done).await?.is_ok(), "done")?;
    }
    law(settle(store, &claimed[3], dead(&claimed[3], Reason::Rejected)).await?.is_ok(), "dead")?;
    law(store.sweep(&queue, LONG, 10).await? == 0, "what is done is kept for as long as was said")?;
    sleep(PASSED).await;
    law(store.sweep(&queue, SHORT, 2).await? == 2, "a sweep takes no more than it was asked for")?;
    law(store.sweep(&queue, SHORT, 2).await? == 1, "and then the rest")?;
    law(store.sweep(&queue, Duration::ZERO, 10).await? == 0, "but nothing that is claimed or dead")?;
    let stats = store.stats(&queue).await?;
    law((stats.claimed, stats.done, stats.dead) == (1, 0, 1), "so those are still there")
}

pub(super) async fn every_state_is_counted(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    let stats = store.stats(&queue).await?;
    law(stats.open() + stats.done + stats.dead == 0, "an unknown queue counts nothing")?;
    for _ in 0..6 {
        enqueue(store, &queue, NewMessage::new("")).await?;
    }
    let lapsed = claim(store, &queue, SHORT).await?;
    let claimed = store.claim(&queue, up_to(5, LONG)).await?;
    let ends = [Settle::Done, dead(&claimed[1], Reason::Rejected), park(&claimed[2], LONG), retry(&claimed[3], LONG)];
    let settled = claimed.iter().map(Message::lease).zip(ends).collect();
    law(store.settle(settled).await?.iter().all(Result::is_ok), "a batch is settled")?;
    enqueue(store, &queue, NewMessage::new("").with_delay(LONG)).await?;
    enqueue(store, &queue, NewMessage::new("")).await?;
    sleep(PASSED).await;
    let stats = store.stats(&queue).await?;
    law(stats.ready == 2 && lapsed.attempt() == 1, "ready: what may be claimed, a lapsed lease as well")?;
    law(stats.scheduled == 2, "scheduled: what is delayed, or to be tried again")?;
    law((stats.parked, stats.claimed) == (1, 1), "parked and claimed")?;
    law((stats.done, stats.dead) == (1, 1), "done and dead")
}

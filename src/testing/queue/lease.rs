use super::{
    LONG, MAX_ATTEMPTS, PASSED, SHORT, claim, dead, enqueue, extend, law, letter, none_to_claim, park, queue, retry,
    settle, up_to,
};
use crate::{
    error::BoxError,
    queue::{LeaseLost, NewMessage, QueueStore, Reason, Settle},
};
use tokio::time::sleep;

pub(super) async fn a_lease_lapses_and_fences(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    enqueue(store, &queue, NewMessage::new("")).await?;
    let stale = claim(store, &queue, SHORT).await?;
    sleep(PASSED).await;
    let message = claim(store, &queue, LONG).await?;
    law(
        message.id() == stale.id() && message.attempt() == 2,
        "a lapsed message is claimed again and the crash counts",
    )?;
    law(extend(store, &stale, LONG).await? == Err(LeaseLost), "a stale lease is not extended")?;
    for end in [Settle::Done, Settle::Release, retry(&stale, LONG), park(&stale, LONG), dead(&stale, Reason::Rejected)]
    {
        law(settle(store, &stale, end).await? == Err(LeaseLost), "a stale lease settles nothing")?;
    }
    // back to the attempt that the stale claim had counted: only the token differs
    law(settle(store, &message, Settle::Release).await?.is_ok(), "the holder releases")?;
    let third = claim(store, &queue, LONG).await?;
    law(third.attempt() == message.attempt(), "a release hands the attempt back")?;
    law(settle(store, &message, Settle::Done).await? == Err(LeaseLost), "the same attempt of another claim is stale")?;
    let both = store.settle(vec![(stale.lease(), Settle::Done), (third.lease(), Settle::Done)]).await?;
    law(both == [Err(LeaseLost), Ok(())], "one stale lease in a batch spoils no other")
}

pub(super) async fn a_lapsed_lease_that_nobody_claimed_still_holds(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    for _ in 0..2 {
        enqueue(store, &queue, NewMessage::new("")).await?;
    }
    let claimed = store.claim(&queue, up_to(2, SHORT)).await?;
    let [done, extended] = &claimed[..] else { return law(false, "two are claimed") };
    sleep(PASSED).await;
    law(settle(store, done, Settle::Done).await?.is_ok(), "a lapsed lease that nobody claimed settles")?;
    law(extend(store, extended, LONG).await?.is_ok(), "and is extended")?;
    none_to_claim(store, &queue, "and then holds again").await
}

pub(super) async fn an_extended_lease_holds_longer(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    for _ in 0..2 {
        enqueue(store, &queue, NewMessage::new("")).await?;
    }
    let claimed = store.claim(&queue, up_to(2, SHORT)).await?;
    let [held, left] = &claimed[..] else { return law(false, "two are claimed") };
    law(extend(store, held, LONG).await?.is_ok(), "a lease is extended")?;
    sleep(PASSED).await;
    let again = claim(store, &queue, LONG).await?;
    law(again.id() == left.id(), "an extended lease does not lapse")?;
    let answers = store.extend(vec![left.lease(), held.lease()], LONG).await?;
    law(answers == [Err(LeaseLost), Ok(())], "extend answers for each lease, in order")?;
    law(settle(store, held, Settle::Done).await?.is_ok(), "an extended lease settles")
}

pub(super) async fn a_crash_counts_and_ends(store: &dyn QueueStore) -> Result<(), BoxError> {
    let queue = queue();
    enqueue(store, &queue, NewMessage::new("poison")).await?;
    for attempt in 1..=MAX_ATTEMPTS {
        let message = claim(store, &queue, SHORT).await?;
        law(message.attempt() == attempt, "every crash counts one attempt")?;
        sleep(PASSED).await;
    }
    none_to_claim(store, &queue, "what lapsed in its last attempt is not claimed again").await?;
    let letter = letter(store, &queue).await?;
    law(letter.reason == Reason::Crashed && letter.attempts == MAX_ATTEMPTS, "it is dead as crashed")?;
    let crashes = letter.history.iter().filter(|entry| entry.outcome == "crashed").map(|entry| entry.attempt);
    law(crashes.eq(1..=MAX_ATTEMPTS), "and its history has every crash")
}

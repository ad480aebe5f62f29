mod enqueue;
mod lease;
mod letters;
mod settle;
mod wait;

use crate::{
    error::BoxError,
    queue::{
        Attempted, Claim, DeadLetter, Filter, LeaseLost, Message, MessageId, NewMessage, QueueStore, Reason, Settle,
    },
};
use std::time::{Duration, SystemTime};

/// How long short leases, delays and windows are here, and how long it takes until one has surely passed.
const SHORT: Duration = Duration::from_millis(300);
const PASSED: Duration = Duration::from_millis(450);
/// How long those are that must not pass within a test.
const LONG: Duration = Duration::from_secs(600);
/// In which time a store wakes whoever waits.
const SOON: Duration = Duration::from_secs(5);
const MAX_ATTEMPTS: u32 = 3;

/// Whether `store` keeps the laws of [`QueueStore`].
///
/// # Errors
/// The first law that is broken, by name; or what the store failed with.
pub async fn queue_contract(store: &dyn QueueStore) -> Result<(), BoxError> {
    enqueue::what_is_enqueued_is_claimed_as_it_was(store).await?;
    enqueue::a_known_key_makes_a_duplicate(store).await?;
    enqueue::the_window_of_a_key_ends(store).await?;
    enqueue::a_key_is_known_within_its_destination(store).await?;
    enqueue::a_key_may_have_a_window_of_its_own(store).await?;
    enqueue::those_that_waited_longest_are_claimed_first(store).await?;
    enqueue::queues_are_apart(store).await?;
    lease::a_lease_lapses_and_fences(store).await?;
    lease::a_lapsed_lease_that_nobody_claimed_still_holds(store).await?;
    lease::an_extended_lease_holds_longer(store).await?;
    settle::settled_is_settled(store).await?;
    settle::a_retry_counts_and_a_wait_does_not(store).await?;
    settle::what_used_no_attempt_is_counted_apart(store).await?;
    settle::any_wait_is_survived(store).await?;
    lease::a_crash_counts_and_ends(store).await?;
    settle::what_is_too_old_ends(store).await?;
    letters::letters_tell_all(store).await?;
    letters::letters_are_found_by_filter_and_cursor(store).await?;
    letters::a_redrive_begins_anew(store).await?;
    letters::a_purge_is_for_good(store).await?;
    letters::a_purge_leaves_the_keys_of_others(store).await?;
    settle::a_sweep_takes_what_is_over(store).await?;
    settle::every_state_is_counted(store).await?;
    wait::whoever_waits_is_woken(store).await
}

fn law(kept: bool, law: &'static str) -> Result<(), BoxError> {
    if kept { Ok(()) } else { Err(format!("broken law: {law}").into()) }
}

/// A queue that nobody else uses.
fn queue() -> String {
    format!("contract-{}", MessageId::new())
}

fn up_to(limit: usize, lease: Duration) -> Claim {
    Claim { limit, lease, max_attempts: MAX_ATTEMPTS }
}

async fn enqueue(store: &dyn QueueStore, queue: &str, message: NewMessage) -> Result<MessageId, BoxError> {
    Ok(only(store.enqueue(queue, vec![message]).await?)?.id())
}

async fn claim(store: &dyn QueueStore, queue: &str, lease: Duration) -> Result<Message, BoxError> {
    only(store.claim(queue, up_to(1, lease)).await?)
}

async fn none_to_claim(store: &dyn QueueStore, queue: &str, of: &'static str) -> Result<(), BoxError> {
    law(store.claim(queue, up_to(10, LONG)).await?.is_empty(), of)
}

async fn settle(store: &dyn QueueStore, message: &Message, settle: Settle) -> Result<Result<(), LeaseLost>, BoxError> {
    only(store.settle(vec![(message.lease(), settle)]).await?)
}

async fn extend(store: &dyn QueueStore, message: &Message, by: Duration) -> Result<Result<(), LeaseLost>, BoxError> {
    only(store.extend(vec![message.lease()], by).await?)
}

async fn letter(store: &dyn QueueStore, queue: &str) -> Result<DeadLetter, BoxError> {
    only(store.dead(queue, &Filter::all(), None, 10).await?)
}

fn only<T>(all: Vec<T>) -> Result<T, BoxError> {
    let mut all = all.into_iter();
    match (all.next(), all.next()) {
        (Some(one), None) => Ok(one),
        _ => Err("broken law: one, no more and no less".into()),
    }
}

fn attempted(message: &Message, outcome: &str, error: &str) -> Attempted {
    Attempted {
        attempt: message.attempt(),
        at: SystemTime::UNIX_EPOCH,
        duration: Duration::from_millis(7),
        outcome: outcome.to_owned(),
        status: Some(500),
        error: error.to_owned(),
    }
}

fn retry(message: &Message, after: Duration) -> Settle {
    Settle::Retry { after, attempted: attempted(message, "fault", "broken") }
}

fn park(message: &Message, after: Duration) -> Settle {
    Settle::Park { after, attempted: attempted(message, "refused", "not now") }
}

fn dead(message: &Message, reason: Reason) -> Settle {
    Settle::Dead { reason, attempted: attempted(message, "rejected", "no") }
}

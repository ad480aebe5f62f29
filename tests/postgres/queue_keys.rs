//! Dedupe keys, and the messages that they stand for.

use super::queue::{count, store};
use std::time::{Duration, SystemTime};
use steadfast::{
    queue::{Attempted, Claim, Enqueued, MessageId, NewMessage, Queue, QueueStore, Reason, Settle},
    store::postgres::PostgresStore,
};

const MANY: u32 = 40;

/// Keys that stand for a message that is not there.
const ORPHANS: &str = "SELECT count(*) FROM steadfast_dedupe d
    WHERE NOT EXISTS (SELECT FROM steadfast_queue q WHERE q.queue = d.queue AND q.id = d.id)";

/// Each with three keys, in no order.
fn batch(random: &mut fastrand::Rng) -> Vec<NewMessage> {
    let keyed = |n: u32| {
        [97, 31, 0]
            .iter()
            .fold(NewMessage::new("x"), |m, k| m.with_dedupe(format!("{}", (n * 7 + k) % 1_000 * 1_000 + n)))
    };
    let mut batch: Vec<_> = (0..MANY).map(keyed).collect();
    random.shuffle(&mut batch);
    batch
}

async fn dead(store: &PostgresStore, batch: Vec<NewMessage>) -> Vec<MessageId> {
    let ids = store.enqueue("q", batch).await.unwrap().into_iter().map(Enqueued::id).collect();
    let claim = Claim { limit: 10_000, lease: Duration::from_secs(600), max_attempts: 3 };
    let claimed = store.claim("q", claim).await.unwrap();
    let attempted = Attempted {
        attempt: 1,
        at: SystemTime::UNIX_EPOCH,
        duration: Duration::ZERO,
        outcome: "rejected".into(),
        status: None,
        error: String::new(),
    };
    let end = || Settle::Dead { reason: Reason::Rejected, attempted: attempted.clone() };
    let settled = claimed.iter().map(|message| (message.lease(), end())).collect();
    assert!(store.settle(settled).await.unwrap().iter().all(Result::is_ok));
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn purges_and_redeliveries_at_once_hold_each_other_up_in_no_circle_and_leave_no_key_without_a_message() {
    let store = store().await;
    let queue = Queue::new("q", store.clone());
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..15 {
        let ids = dead(&store, batch(&mut random)).await;
        let again: Vec<_> = (0..4).map(|_| batch(&mut random)).collect();
        let mut tasks = tokio::task::JoinSet::new();
        for (n, batch) in again.into_iter().enumerate() {
            let (store, queue) = (store.clone(), queue.clone());
            tasks.spawn(async move {
                if n > 0 {
                    return store.enqueue("q", batch).await.map(drop);
                }
                // in the user's transaction a circle would be the user's error
                for message in batch {
                    let mut tx = store.pool().begin().await?;
                    store.enqueue_in(&mut tx, &queue, message).await?;
                    tx.commit().await?;
                }
                Ok(())
            });
        }
        for half in ids.chunks(ids.len() / 2) {
            let (store, half) = (store.clone(), half.to_vec());
            tasks.spawn(async move { store.purge("q", &half).await.map(drop) });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap().unwrap();
        }
        assert_eq!(store.stats("q").await.unwrap().dead, 0);
        assert_eq!(count(&store, ORPHANS).await, 0, "a purged message is no message's duplicate");
        let known = store.enqueue("q", batch(&mut random)).await.unwrap();
        let mut messages: Vec<_> = known.into_iter().map(Enqueued::id).collect();
        messages.sort_unstable();
        messages.dedup();
        assert_eq!(store.stats("q").await.unwrap().ready, u64::from(MANY), "each is there once");
        // the next round begins with nothing
        let ids = dead(&store, Vec::new()).await;
        assert!(ids.is_empty());
        assert_eq!(store.purge("q", &messages).await.unwrap(), messages.len());
        assert_eq!(count(&store, "SELECT count(*) FROM steadfast_dedupe").await, 0);
    }
}

//! Many at once, on one key.

use super::support::{LEASE, answer, begin, fence, store};
use std::time::Duration;
use steadfast::{
    idempotency::{Begin, Begun, Fenced, IdempotencyStore as _, Recorded, Token},
    store::postgres::PostgresStore,
};
use tokio::{task::JoinSet, time::sleep};

async fn all(store: &PostgresStore, begins: impl Iterator<Item = Begin>) -> Vec<Begun> {
    let mut tasks = JoinSet::new();
    for begin in begins {
        let store = store.clone();
        tasks.spawn(async move { store.begin(begin).await.unwrap() });
    }
    tasks.join_all().await
}

fn won(begun: &[Begun], as_attempt: u32) -> usize {
    begun.iter().filter(|begun| matches!(begun, Begun::Acquired { attempt } if *attempt == as_attempt)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_who_begin_at_once_one_wins_and_none_fails() {
    let store = store().await;
    for round in 0..10 {
        let key = format!("k{round}");
        let begun = all(&store, (0..100).map(|_| begin(&key, LEASE))).await;
        assert_eq!(won(&begun, 1), 1);
        let waiting = begun.iter().filter(|begun| matches!(begun, Begun::InFlight { .. })).count();
        assert_eq!(waiting, 99);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_who_take_over_at_once_one_wins() {
    let store = store().await;
    for round in 0..10 {
        let first = begin(&format!("k{round}"), Duration::ZERO);
        store.begin(first).await.unwrap();
        let others =
            (0..50).map(|_| Begin { take_over: Some(first.token), token: Token::random(), lease: LEASE, ..first });
        let begun = all(&store, others).await;
        assert_eq!(won(&begun, 2), 1, "{begun:?}");
        assert!(
            begun.iter().all(|begun| matches!(begun, Begun::Acquired { .. } | Begun::InFlight { .. })),
            "{begun:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_begin_that_is_sent_fifty_times_at_once_is_acquired_fifty_times() {
    let store = store().await;
    let begin = begin("k", LEASE);
    let begun = all(&store, (0..50).map(|_| begin)).await;
    assert_eq!(won(&begun, 1), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_lapsed_claim_does_not_keep_others_from_seeing_that_it_lapsed() {
    let store = store().await;
    let first = begin("k", Duration::ZERO);
    store.begin(first).await.unwrap();
    let begun = all(&store, (0..50).map(|_| begin("k", LEASE))).await;
    let lapsed =
        begun.iter().filter(|begun| matches!(begun, Begun::Lapsed { stale, .. } if *stale == first.token)).count();
    assert_eq!(lapsed, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_claimed_and_freed_all_the_time_fails_nobody() {
    let store = store().await;
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut won = 0;
            for _ in 0..50 {
                let begin = begin("k", LEASE);
                match store.begin(begin).await.unwrap() {
                    Begun::Acquired { .. } => {
                        assert_eq!(store.release(fence(&begin)).await.unwrap(), Fenced::Done);
                        won += 1;
                    }
                    Begun::InFlight { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
            won
        });
    }
    assert!(tasks.join_all().await.into_iter().sum::<u32>() >= 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_complete_at_once_one_does() {
    let store = store().await;
    let begin = begin("k", LEASE);
    store.begin(begin).await.unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..30 {
        let store = store.clone();
        let recorded = Recorded::Response(answer());
        tasks.spawn(async move { store.complete(fence(&begin), recorded, LEASE).await.unwrap() });
    }
    let all = tasks.join_all().await;
    assert_eq!(all.iter().filter(|fenced| **fenced == Fenced::Done).count(), 1);
    assert_eq!(all.iter().filter(|fenced| **fenced == Fenced::Already).count(), 29);
}

#[tokio::test]
async fn the_clock_of_the_application_changes_nothing() {
    let store = store().await;
    let lasts = begin("lasts", LEASE);
    store.begin(lasts).await.unwrap();
    let lapses = begin("lapses", Duration::from_millis(50));
    store.begin(lapses).await.unwrap();
    // an hour forward, for this process alone
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3600)).await;
    tokio::time::resume();
    assert!(matches!(store.begin(begin("lasts", LEASE)).await.unwrap(), Begun::InFlight { .. }));
    sleep(Duration::from_millis(100)).await;
    assert!(matches!(store.begin(begin("lapses", LEASE)).await.unwrap(), Begun::Lapsed { .. }));
}

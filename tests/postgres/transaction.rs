//! The record in the user's own transaction.

use super::{
    postgres_server::{pool, shared},
    support::{App, KEEP, LEASE, answer, begin, created, fence, layer, migrated, paid, pay, store},
};
use http::StatusCode;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use steadfast::{
    error::StoreError,
    idempotency::{Begin, Begun, Claim, Fenced, IdempotencyStore as _, OnUnknown, Recorded},
    store::postgres::{PostgresStore, sqlx},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// Claims as handlers get them, of handlers that go on running: for stores that are asked directly.
async fn claim(store: &PostgresStore, key: &str, lease: Duration) -> Claim {
    let got = Arc::new((Mutex::new(None), Notify::new()));
    let app = App::new(layer(store).with_lease(lease), {
        let got = got.clone();
        move |claim| {
            *got.0.lock().unwrap() = Some(claim);
            got.1.notify_one();
            std::future::pending::<StatusCode>()
        }
    });
    let key = key.to_owned();
    let call = tokio::spawn(async move { app.post(&key).await });
    got.1.notified().await;
    drop(call);
    got.0.lock().unwrap().take().unwrap()
}

fn again(claim: &Claim) -> Begin {
    let mut begin = begin("", LEASE);
    begin.key = claim.fence().key;
    begin.fingerprint.version += 1;
    begin
}

#[tokio::test]
async fn business_and_record_are_there_together() {
    let store = store().await;
    let app = App::new(layer(&store), {
        let store = store.clone();
        move |claim| {
            let store = store.clone();
            async move {
                pay(&store, &claim).await.unwrap().commit().await.unwrap();
                created()
            }
        }
    });
    for replayed in [false, true] {
        let seen = app.post("k").await;
        assert_eq!((seen.status, &*seen.text, seen.replayed()), (StatusCode::CREATED, "paid", replayed));
    }
    assert_eq!((app.runs(), paid(&store).await), (1, 1));
}

#[tokio::test]
async fn a_yes_after_a_rollback_is_a_500_and_the_key_is_free() {
    for dropped in [true, false] {
        let store = store().await;
        let app = App::new(layer(&store), {
            let store = store.clone();
            move |claim| {
                let store = store.clone();
                async move {
                    let tx = pay(&store, &claim).await.unwrap();
                    if dropped {
                        drop(tx); // its rollback comes a moment later, and is waited for
                    } else {
                        tx.rollback().await.unwrap();
                    }
                    created()
                }
            }
        });
        for run in 1..=2 {
            let seen = app.post("k").await;
            assert_eq!((seen.status, &*seen.title()), (StatusCode::INTERNAL_SERVER_ERROR, "transaction rolled back"));
            assert_eq!((app.runs(), paid(&store).await), (run, 0), "and free again");
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_killed_inside_the_transaction_leaves_nothing_and_a_free_key() {
    let store = store().await;
    let app = App::new(layer(&store), {
        let store = store.clone();
        move |claim| {
            let store = store.clone();
            async move {
                let mut tx = pay(&store, &claim).await.unwrap();
                if claim.key().as_str() == "killed" {
                    let kill = "SELECT pg_terminate_backend(pg_backend_pid())";
                    sqlx::query(kill).execute(&mut *tx).await.unwrap_err();
                }
                // overlooks what became of its commit
                let _ = tx.commit().await;
                created()
            }
        }
    });
    assert_eq!(app.post("killed").await.title(), "transaction rolled back");
    assert_eq!(paid(&store).await, 0);
    assert_eq!(app.post("lives").await.status, StatusCode::CREATED);
    assert_eq!(paid(&store).await, 1);
}

#[tokio::test]
async fn while_the_transaction_is_open_nobody_takes_over_although_the_lease_lapsed() {
    let store = store().await;
    let claim = claim(&store, "k", Duration::from_millis(300)).await;
    let tx = pay(&store, &claim).await.unwrap();
    sleep(Duration::from_millis(500)).await;
    let asks = again(&claim);
    let takes = Begin { take_over: Some(claim.fence().token), ..asks };
    let since = Instant::now();
    for begin in [asks, takes] {
        let begun = store.begin(begin).await.unwrap();
        assert!(matches!(begun, Begun::InFlight { lease_left: Duration::ZERO }), "{begun:?}");
    }
    assert!(since.elapsed() < Duration::from_secs(1), "a begin waits for no row");
    tx.commit().await.unwrap();
    let begun = store.begin(takes).await.unwrap();
    assert!(matches!(begun, Begun::Completed(found) if found == Recorded::Response(answer())));
}

#[tokio::test]
async fn rolled_back_after_the_lease_a_claim_counts_as_lapsed() {
    let store = store().await;
    let begin = begin("k", Duration::from_millis(50));
    store.begin(begin).await.unwrap();
    let mut tx = store.pool().begin().await.unwrap();
    // what complete_in does to the row
    sqlx::query("UPDATE steadfast_idempotency SET state = 1").execute(&mut *tx).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    let asks = super::support::begin("k", LEASE);
    assert!(matches!(store.begin(asks).await.unwrap(), Begun::InFlight { .. }));
    tx.rollback().await.unwrap();
    assert!(matches!(store.begin(asks).await.unwrap(), Begun::Lapsed { stale, attempt: 1 } if stale == begin.token));
}

#[tokio::test]
async fn a_handler_whose_transaction_outlasts_its_lease_runs_once() {
    let store = store().await;
    let rerun = layer(&store).with_lease(Duration::from_millis(300)).with_on_unknown(OnUnknown::Rerun);
    let held = Arc::new(Notify::new());
    let app = App::new(rerun, {
        let (store, held) = (store.clone(), held.clone());
        move |claim| {
            let (store, held) = (store.clone(), held.clone());
            async move {
                let tx = pay(&store, &claim).await.unwrap();
                held.notify_one();
                sleep(Duration::from_secs(1)).await;
                tx.commit().await.unwrap();
                created()
            }
        }
    });
    let first = tokio::spawn({
        let app = app.clone();
        async move { app.post("k").await }
    });
    held.notified().await;
    while !first.is_finished() {
        let seen = app.post("k").await;
        assert!(seen.replayed() || seen.status == StatusCode::CONFLICT, "{seen:?}");
    }
    assert_eq!(first.await.unwrap().status, StatusCode::CREATED);
    assert!(app.post("k").await.replayed());
    assert_eq!((app.runs(), paid(&store).await), (1, 1));
}

#[tokio::test]
async fn settled_waits_for_an_open_transaction_and_not_for_ever() {
    let store = store().await.with_lock_wait(Duration::from_millis(400));
    let claim = claim(&store, "k", LEASE).await;
    let tx = pay(&store, &claim).await.unwrap();
    let since = Instant::now();
    let held = store.settled(claim.fence()).await.unwrap_err();
    assert_eq!(held.what(), "another transaction holds the row for too long");
    assert!((400..3_000).contains(&since.elapsed().as_millis()), "{:?}", since.elapsed());
    let settled = tokio::spawn({
        let store = store.clone();
        let fence = claim.fence();
        async move { store.settled(fence).await }
    });
    sleep(Duration::from_millis(100)).await;
    assert!(!settled.is_finished());
    tx.commit().await.unwrap();
    assert_eq!(settled.await.unwrap().unwrap(), Fenced::Already);
    let timeout: String = sqlx::query_scalar("SHOW lock_timeout").fetch_one(store.pool()).await.unwrap();
    assert_eq!(timeout, "0", "what was set for one statement is gone with it");
}

#[tokio::test]
async fn what_an_open_transaction_holds_is_neither_renewed_nor_completed_nor_released_beside_it() {
    let store = store().await.with_lock_wait(Duration::from_millis(100));
    let claim = claim(&store, "k", LEASE).await;
    let tx = pay(&store, &claim).await.unwrap();
    let fence = claim.fence();
    let since = Instant::now();
    assert_eq!(store.renew(fence, LEASE).await.unwrap_err().what(), "an open transaction holds the record");
    assert!(since.elapsed() < Duration::from_millis(90), "a renewal does not wait");
    for held in [store.complete(fence, Recorded::NotRetained, KEEP), store.release(fence)] {
        assert_eq!(held.await.unwrap_err().what(), "another transaction holds the row for too long");
    }
    tx.commit().await.unwrap();
    assert_eq!(store.get(fence.key).await.unwrap(), Some(Recorded::Response(answer())));
}

#[tokio::test]
async fn a_claim_of_another_store_is_refused_and_so_is_a_transaction_of_another_database() {
    let (store, other) = (store().await, store().await);
    let claim = claim(&store, "k", LEASE).await;
    let mut tx = other.pool().begin().await.unwrap();
    let refused = other.complete_in(&mut tx, &claim, &answer()).await.unwrap_err();
    assert_eq!(refused.what(), "the claim belongs to another store");
    let refused = store.complete_in(&mut tx, &claim, &answer()).await.unwrap_err();
    assert_eq!(refused.what(), "the claim was lost to a later attempt");
    assert_eq!(store.settled(claim.fence()).await.unwrap(), Fenced::Done, "still running");
}

#[tokio::test]
async fn a_claim_is_completed_once_and_only_by_its_owner() {
    let store = store().await;
    let complete = claim(&store, "complete", LEASE).await;
    pay(&store, &complete).await.unwrap().commit().await.unwrap();
    assert_eq!(pay(&store, &complete).await.unwrap_err().what(), "the claim is complete already");
    let lost = claim(&store, "lost", Duration::from_secs(3600)).await;
    let lapse = "UPDATE steadfast_idempotency SET lease_until = 'epoch' WHERE state = 0";
    sqlx::query(lapse).execute(store.pool()).await.unwrap();
    let takes = Begin { take_over: Some(lost.fence().token), ..again(&lost) };
    assert!(matches!(store.begin(takes).await.unwrap(), Begun::Acquired { attempt: 2 }));
    assert_eq!(pay(&store, &lost).await.unwrap_err().what(), "the claim was lost to a later attempt");
    assert_eq!(paid(&store).await, 1, "what failed left nothing");
    assert_eq!(store.settled(fence(&takes)).await.unwrap(), Fenced::Done);
}

#[tokio::test]
async fn a_serializable_transaction_is_told_to_repeat_where_the_claim_was_renewed_meanwhile() {
    let store = store().await;
    let claim = claim(&store, "k", LEASE).await;
    let serializable = async || {
        let mut tx = store.pool().begin().await?;
        sqlx::query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE").execute(&mut *tx).await?;
        sqlx::query("SELECT count(*) FROM paid").execute(&mut *tx).await?;
        Ok::<_, StoreError>(tx)
    };
    let mut tx = serializable().await.unwrap();
    assert_eq!(store.renew(claim.fence(), LEASE).await.unwrap(), Fenced::Done);
    let refused = store.complete_in(&mut tx, &claim, &answer()).await.unwrap_err();
    assert_eq!(refused.what(), "the transaction met another one: repeat it from its begin");
    let refused = store.complete_in(&mut tx, &claim, &answer()).await.unwrap_err();
    assert_eq!(refused.what(), "the transaction has failed before");
    drop(tx);
    let mut tx = serializable().await.unwrap();
    store.complete_in(&mut tx, &claim, &answer()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.settled(claim.fence()).await.unwrap(), Fenced::Already);
}

#[tokio::test]
async fn a_pool_of_one_connection_is_enough() {
    let server = shared();
    let url = server.url(&server.database().await);
    let one = sqlx::postgres::PgPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
    let store = migrated(one).await;
    let app = App::new(layer(&store), {
        let store = store.clone();
        move |claim| {
            let store = store.clone();
            async move {
                pay(&store, &claim).await.unwrap().commit().await.unwrap();
                created()
            }
        }
    });
    assert_eq!(app.post("k").await.status, StatusCode::CREATED);
    assert!(app.post("k").await.replayed());
    assert_eq!(paid(&migrated_again(&url).await).await, 1);
}

async fn migrated_again(url: &str) -> PostgresStore {
    let store = PostgresStore::new(pool(url).await);
    store.migrate().await.unwrap();
    store
}

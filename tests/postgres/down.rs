//! A server that is killed, and replies that are lost.

use super::{
    postgres_server::{Server, pool, shared},
    proxy::{Fault, Proxy},
    support::{App, KEEP, LEASE, answer, begin, created, fence, layer, migrated, paid, pay},
};
use http::StatusCode;
use std::{sync::Arc, time::Duration};
use steadfast::{
    idempotency::{Begun, Fenced, IdempotencyStore as _, OnUnknown, Recorded, StoreKey},
    store::postgres::PostgresStore,
};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

async fn until_ready(store: &PostgresStore) {
    let ready = async {
        while store.get(begin("", LEASE).key).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), ready).await.unwrap();
}

/// One server, killed and started again: each start costs seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_at_any_time_loses_nothing_and_repeats_nothing() {
    let mut server = Server::start();
    let store = migrated(server.pool().await).await;

    // before the request: refused, and nothing runs
    let app = App::counting(layer(&store));
    assert_eq!(app.post("before").await.status, StatusCode::CREATED);
    server.kill();
    for _ in 0..3 {
        let seen = app.post("k").await;
        let title = "idempotency store unavailable";
        assert_eq!((seen.status, &*seen.title()), (StatusCode::SERVICE_UNAVAILABLE, title));
        assert_eq!(seen.headers["retry-after"], "1");
    }
    assert_eq!(app.runs(), 1);
    server.restart();
    until_ready(&store).await;
    assert!(app.post("before").await.replayed(), "what was answered survives the kill");
    assert_eq!(app.post("k").await.status, StatusCode::CREATED, "it is back without anybody's help");
    assert_eq!(app.runs(), 2);

    // while the handler runs: its answer is given, and recorded when the server is back
    let (runs, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let recorded = layer(&store);
    let app = App::new(recorded.clone(), {
        let (runs, goes_on) = (runs.clone(), goes_on.clone());
        move |_| {
            let (runs, goes_on) = (runs.clone(), goes_on.clone());
            async move {
                runs.notify_one();
                goes_on.notified().await;
                created()
            }
        }
    });
    let call = tokio::spawn({
        let app = app.clone();
        async move { app.post("complete").await }
    });
    runs.notified().await;
    server.kill();
    goes_on.notify_one();
    assert_eq!(call.await.unwrap().status, StatusCode::CREATED, "the real answer, although nothing is recorded");
    server.restart();
    timeout(Duration::from_secs(60), recorded.drained()).await.expect("recorded in the background");
    assert!(app.post("complete").await.replayed());
    assert_eq!(app.runs(), 1);

    // inside of the handler's transaction: no yes is given, nothing is left, and the repeat runs
    let (runs, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let freed = layer(&store);
    let app = App::new(freed.clone(), {
        let (store, runs, goes_on) = (store.clone(), runs.clone(), goes_on.clone());
        move |claim| {
            let (store, runs, goes_on) = (store.clone(), runs.clone(), goes_on.clone());
            async move {
                let tx = pay(&store, &claim).await.unwrap();
                runs.notify_one();
                goes_on.notified().await;
                let _ = tx.commit().await; // overlooked
                created()
            }
        }
    });
    let call = tokio::spawn({
        let app = app.clone();
        async move { app.post("transaction").await }
    });
    runs.notified().await;
    server.kill();
    goes_on.notify_one();
    assert_eq!(call.await.unwrap().status, StatusCode::SERVICE_UNAVAILABLE, "nobody knows yet");
    server.restart();
    timeout(Duration::from_secs(60), freed.drained()).await.expect("freed in the background");
    assert_eq!(paid(&store).await, 0);
    goes_on.notify_one();
    assert_eq!(app.post("transaction").await.status, StatusCode::CREATED);
    assert_eq!((app.runs(), paid(&store).await), (2, 1));
}

/// A store behind a proxy, and one that is not, of one database.
async fn behind_proxy() -> (Proxy, PostgresStore, PostgresStore) {
    let server = shared();
    let name = server.database().await;
    let proxy = Proxy::to(server.address().port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/{name}", proxy.port());
    let direct = migrated(pool(&server.url(&name)).await).await;
    let behind = PostgresStore::new(pool(&url).await);
    // every statement is prepared, and so one packet from here on
    let first = begin("first", LEASE);
    behind.begin(first).await.unwrap();
    behind.complete(fence(&first), Recorded::NotRetained, KEEP).await.unwrap();
    (proxy, behind, direct)
}

/// In every statement about the key of the apps below, and in nothing else that is sent.
fn bytes_of(key: &str) -> [u8; 32] {
    StoreKey::new(b"", key).0
}

#[tokio::test]
async fn a_lost_reply_of_begin_is_no_conflict_with_oneself() {
    let (proxy, store, direct) = behind_proxy().await;
    let app = App::counting(layer(&store));
    let lost = proxy.next_with(&bytes_of("k"), Fault::LoseReply);
    assert_eq!(app.post("k").await.status, StatusCode::CREATED);
    assert!(lost.has_happened());
    assert!(app.post("k").await.replayed());
    assert_eq!(app.runs(), 1);
    assert!(direct.get(StoreKey::new(b"", "k")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_lost_reply_of_complete_keeps_the_record() {
    let (proxy, store, _) = behind_proxy().await;
    let layer = layer(&store);
    let app = App::counting(layer.clone());
    let begun = proxy.next_with(&bytes_of("k"), Fault::Pass);
    let lost = proxy.next_with(&bytes_of("k"), Fault::LoseReply);
    assert_eq!(app.post("k").await.status, StatusCode::CREATED);
    assert!(begun.has_happened() && lost.has_happened());
    layer.drained().await;
    assert!(app.post("k").await.replayed());
    assert_eq!(app.runs(), 1);
}

#[tokio::test]
async fn what_was_done_although_its_reply_was_lost_is_found_done() {
    let (proxy, store, direct) = behind_proxy().await;
    let begin = begin("k", LEASE);
    let lose = || proxy.next_with(&begin.key.0, Fault::LoseReply);
    let lost = lose();
    assert_eq!(store.begin(begin).await.unwrap_err().what(), "the server cannot be reached");
    assert!(lost.has_happened());
    assert!(matches!(store.begin(begin).await.unwrap(), Begun::Acquired { attempt: 1 }));
    let recorded = Recorded::Response(answer());
    let lost = lose();
    store.complete(fence(&begin), recorded.clone(), KEEP).await.unwrap_err();
    assert!(lost.has_happened());
    assert_eq!(store.complete(fence(&begin), recorded.clone(), KEEP).await.unwrap(), Fenced::Already);
    assert_eq!(direct.get(begin.key).await.unwrap(), Some(recorded));
}

#[tokio::test]
async fn a_network_that_hangs_is_a_503_and_then_all_is_well() {
    let (proxy, store, _) = behind_proxy().await;
    let layer = layer(&store).with_hold(Duration::from_millis(300)).with_on_unknown(OnUnknown::Fail);
    let app = App::counting(layer.clone());
    proxy.set(Fault::Hang);
    assert_eq!(app.post("k").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(app.runs(), 0);
    proxy.set(Fault::Pass);
    layer.drained().await;
    assert_eq!(app.post("k").await.status, StatusCode::CREATED);
    assert_eq!(app.runs(), 1);
}

#[tokio::test]
async fn a_commit_whose_reply_is_lost_is_told_as_it_was() {
    let (proxy, store, direct) = behind_proxy().await;
    let proxy = Arc::new(proxy);
    let app = App::new(layer(&store), {
        let (store, proxy) = (store.clone(), proxy.clone());
        move |claim| {
            let (store, proxy) = (store.clone(), proxy.clone());
            async move {
                let tx = pay(&store, &claim).await.unwrap();
                let lost = proxy.next_with(b"COMMIT", Fault::LoseReply);
                tx.commit().await.unwrap_err();
                assert!(lost.has_happened());
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    });
    // the handler could not know; its record is there, and is what a repeat is answered with
    assert_eq!(app.post("k").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    let again = app.post("k").await;
    assert_eq!((again.status, again.replayed()), (StatusCode::CREATED, true));
    assert_eq!((app.runs(), paid(&direct).await), (1, 1));
}

//! Commands that were done, and whose answers never came.

use crate::{
    proxy::{Fault, Proxy},
    redis_server::RedisServer,
    support::{App, KEEP, answer, begin, fence, layer, store_at},
};
use http::StatusCode;
use std::time::Duration;
use steadfast::{
    idempotency::{Begun, Fenced, IdempotencyStore as _, OnUnknown},
    store::redis::RedisStore,
};
use tokio::time::sleep;

#[tokio::test]
async fn a_lost_reply_of_begin_is_no_conflict_with_oneself() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let app = App::over(store_at(proxy.port()).await);
    app.post("loads-the-scripts").await;
    let lost = proxy.next_with(b"EVALSHA", Fault::LoseReply);
    let seen = app.post("k").await;
    assert!(lost.has_happened());
    assert_eq!((seen.status, seen.text.as_str(), app.runs()), (StatusCode::CREATED, "run 2", 2));
    assert!(app.post("k").await.replayed());
}

#[tokio::test]
async fn a_begin_whose_connection_broke_is_sent_again_and_is_the_same_attempt() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let store = store_at(proxy.port()).await;
    store.begin(begin("the script is loaded")).await.unwrap();
    let lost = proxy.next_with(b"EVALSHA", Fault::LoseReply);
    let first = begin("k");
    assert!(matches!(store.begin(first).await.unwrap(), Begun::Acquired { attempt: 1 }));
    assert!(lost.has_happened());
    assert!(matches!(store.begin(first).await.unwrap(), Begun::Acquired { attempt: 1 }));
    assert!(matches!(store.begin(begin("k")).await.unwrap(), Begun::InFlight { .. }));
}

#[tokio::test]
async fn a_lost_reply_of_complete_keeps_the_record() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let app = App::over(store_at(proxy.port()).await);
    app.post("loads-the-scripts").await;
    // the first of the call is its begin
    let lost = proxy.nth(2, Fault::LoseReply);
    assert_eq!(app.post("k").await.text, "run 2");
    assert!(lost.has_happened());
    let again = app.post("k").await;
    assert_eq!((again.text.as_str(), again.replayed(), app.runs()), ("run 2", true, 2));
}

#[tokio::test]
async fn a_complete_that_is_repeated_changes_nothing() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let store = store_at(proxy.port()).await;
    let first = begin("k");
    store.begin(first).await.unwrap();
    // the first says that the script is not known
    let lost = proxy.nth(2, Fault::LoseReply);
    assert_eq!(store.complete(fence(&first), answer("once"), KEEP).await.unwrap(), Fenced::Already);
    assert!(lost.has_happened());
    assert_eq!(store.complete(fence(&first), answer("twice"), KEEP).await.unwrap(), Fenced::Already);
    assert_eq!(store.get(first.key).await.unwrap(), Some(answer("once")));
}

/// Two processes, as far as the store can tell: one is cut off while its handler runs, the other takes its key over.
async fn cut_off(takes: Duration) -> (App, App, Proxy, RedisServer) {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let over = |store: RedisStore, takes| {
        let layer = layer(store).with_lease(Duration::from_millis(300)).with_on_unknown(OnUnknown::Rerun);
        App::new(layer, takes)
    };
    let cut_off = over(store_at(proxy.port()).await, takes);
    let other = over(store_at(server.port()).await, Duration::ZERO);
    (cut_off, other, proxy, server)
}

#[tokio::test]
async fn a_zombie_gets_the_owners_answer() {
    let (zombie, owner, proxy, _server) = cut_off(Duration::from_millis(1500)).await;
    let call = tokio::spawn({
        let zombie = zombie.clone();
        async move { zombie.post("k").await }
    });
    while zombie.runs() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    proxy.set(Fault::Refuse);
    sleep(Duration::from_millis(600)).await;
    let owned = owner.post("k").await;
    assert_eq!((owned.status, owner.runs()), (StatusCode::CREATED, 1), "the claim has lapsed, and is taken over");
    proxy.set(Fault::Pass);
    let seen = call.await.unwrap();
    assert_eq!((&seen.text, seen.replayed(), zombie.runs()), (&owned.text, true, 1));
}

#[tokio::test]
async fn a_slow_handler_keeps_its_claim_by_renewing_it() {
    let server = RedisServer::start();
    let layer = |store| layer(store).with_lease(Duration::from_millis(300)).with_on_unknown(OnUnknown::Rerun);
    let slow = App::new(layer(store_at(server.port()).await), Duration::from_millis(1200));
    let other = App::over(store_at(server.port()).await);
    let call = tokio::spawn({
        let slow = slow.clone();
        async move { slow.post("k").await }
    });
    while !call.is_finished() {
        sleep(Duration::from_millis(100)).await;
        let seen = other.post("k").await;
        assert!(seen.replayed() || seen.status == StatusCode::CONFLICT, "{seen:?}");
    }
    assert_eq!((call.await.unwrap().text.as_str(), slow.runs(), other.runs()), ("run 1", 1, 0));
}

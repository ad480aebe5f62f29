//! A store that is away, at each of its calls.

use crate::{
    proxy::{Fault, Proxy},
    redis_server::RedisServer,
    support::{App, KEEP, LEASE, SHORT, answer, begin, fence, layer, store, store_at},
};
use http::StatusCode;
use std::time::Duration;
use steadfast::idempotency::{Fenced, IdempotencyStore as _};
use tokio::time::{Instant, sleep, timeout};

#[tokio::test]
async fn down_at_begin_it_is_a_503_and_nothing_runs() {
    let mut server = RedisServer::start();
    let app = App::over(store(&server).await);
    app.post("before").await;
    server.kill();
    for _ in 0..3 {
        let seen = app.post("k").await;
        assert_eq!(
            (seen.status, seen.title().as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "idempotency store unavailable")
        );
        assert_eq!(seen.headers["retry-after"], "1");
    }
    assert_eq!(app.runs(), 1);
    server.restart();
    assert_eq!(app.post("k").await.text, "run 2", "it is back without anybody's help");
}

#[tokio::test]
async fn refused_or_silent_it_is_a_503_in_bounded_time_and_comes_back() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let app = App::new(layer(store_at(proxy.port()).await).with_lease(SHORT), Duration::ZERO);
    for fault in [Fault::Refuse, Fault::Hang, Fault::LoseReply] {
        let runs = app.runs();
        proxy.set(fault);
        let since = Instant::now();
        assert_eq!(app.post(&format!("{fault:?}")).await.status, StatusCode::SERVICE_UNAVAILABLE, "{fault:?}");
        assert!(since.elapsed() < Duration::from_secs(6), "{fault:?}: {:?}", since.elapsed());
        assert_eq!(app.runs(), runs);
        proxy.set(Fault::Pass);
        timeout(Duration::from_secs(20), app.layer.drained()).await.expect("what it may have claimed is given back");
        assert_eq!(app.post(&format!("{fault:?}-and-back")).await.status, StatusCode::CREATED, "{fault:?}");
    }
}

/// As behind a firewall that forgot it: it is not closed, and nothing ever comes.
#[tokio::test]
async fn a_connection_that_fell_silent_is_given_up_for_another() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let app = App::over(store_at(proxy.port()).await);
    app.post("before").await;
    let silent = proxy.nth(1, Fault::Hang);
    let since = Instant::now();
    assert_eq!(app.post("k").await.status, StatusCode::CREATED);
    assert!(silent.has_happened() && since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    assert_eq!(app.post("k").await.text, "run 2");
}

#[tokio::test]
async fn down_at_complete_the_caller_is_answered_and_the_record_comes_later() {
    let mut server = RedisServer::persistent();
    let app = App::new(layer(store(&server).await).with_lease(SHORT), Duration::from_millis(300));
    let call = tokio::spawn({
        let app = app.clone();
        async move { app.post("k").await }
    });
    while app.runs() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    server.kill();
    assert_eq!(call.await.unwrap().text, "run 1", "its own answer, not an error");
    assert_eq!(app.post("k").await.status, StatusCode::SERVICE_UNAVAILABLE);
    server.restart();
    timeout(Duration::from_secs(20), app.layer.drained()).await.expect("it is recorded in the background");
    let again = app.post("k").await;
    assert_eq!((again.text.as_str(), again.replayed(), app.runs()), ("run 1", true, 1));
}

#[tokio::test]
async fn many_whom_one_silent_connection_failed_replace_it_once() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let registry = steadfast::registry::Registry::new();
    let store = store_at(proxy.port()).await.with_registry(&registry);
    store.begin(begin("before")).await.unwrap();
    proxy.nth(1, Fault::Hang);
    let calls: Vec<_> = (0..50)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.begin(begin(&n.to_string())).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap_err().what(), "redis did not answer in time");
    }
    let replaced = registry.snapshot()[0].state.iter().find(|(name, _)| *name == "replaced").unwrap().1.clone();
    assert_eq!(replaced, 1_u64.into());
    store.begin(begin("after")).await.unwrap();
}

#[tokio::test]
async fn a_lapsed_claim_is_completed_when_the_store_is_back() {
    let mut server = RedisServer::persistent();
    let store = store(&server).await;
    let first = steadfast::idempotency::Begin { lease: Duration::from_millis(1), ..begin("k") };
    store.begin(first).await.unwrap();
    server.kill();
    store.renew(fence(&first), LEASE).await.unwrap_err();
    server.restart();
    assert_eq!(store.complete(fence(&first), answer("x"), KEEP).await.unwrap(), Fenced::Done);
}

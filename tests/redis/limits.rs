//! A server that has no room, or must not write.

use crate::{
    redis_server::RedisServer,
    support::{App, SHORT, begin, layer, store},
};
use http::StatusCode;
use std::time::Duration;
use steadfast::idempotency::IdempotencyStore as _;
use tokio::time::{sleep, timeout};

#[tokio::test]
async fn a_full_server_refuses_new_keys_and_records_what_ran_when_there_is_room() {
    let server = RedisServer::with(&["--maxmemory-policy", "noeviction"]);
    let store = store(&server).await;
    let app = App::new(layer(store.clone()).with_lease(SHORT), Duration::from_millis(300));
    app.post("before").await;
    let call = tokio::spawn({
        let app = app.clone();
        async move { app.post("k").await }
    });
    while app.runs() < 2 {
        sleep(Duration::from_millis(5)).await;
    }
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(store.begin(begin("other")).await.unwrap_err().what(), "redis is out of memory");
    assert_eq!(app.post("other").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(app.post("before").await.replayed(), "what is there is still read");
    assert_eq!(call.await.unwrap().text, "run 2", "what ran is answered");
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    timeout(Duration::from_secs(20), app.layer.drained()).await.expect("and recorded");
    assert!(app.post("k").await.replayed());
    assert_eq!(app.runs(), 2);
}

#[tokio::test]
async fn a_server_that_asks_for_replicas_refuses_without_them() {
    let server = RedisServer::with(&["--min-replicas-to-write", "1"]);
    let app = App::over(store(&server).await);
    let refused = store(&server).await.begin(begin("k")).await.unwrap_err();
    assert_eq!(refused.what(), "redis has too few replicas");
    assert_eq!((app.post("k").await.status, app.runs()), (StatusCode::SERVICE_UNAVAILABLE, 0));
}

#[tokio::test]
async fn a_user_who_may_not_run_scripts_is_told_so() {
    let server = RedisServer::start();
    server.cli(&["ACL", "SETUSER", "default", "-evalsha", "-eval", "-info"]);
    assert_eq!(store(&server).await.begin(begin("k")).await.unwrap_err().what(), "redis does not permit it");
}

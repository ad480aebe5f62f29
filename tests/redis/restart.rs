//! What survives when Redis is killed.

use crate::{
    redis_server::RedisServer,
    support::{App, layer, store},
};
use http::StatusCode;
use std::time::Duration;
use tokio::time::sleep;

#[tokio::test]
async fn what_an_append_only_file_holds_survives_a_kill() {
    let mut server = RedisServer::persistent();
    let app = App::over(store(&server).await);
    app.post("k").await;
    server.kill();
    server.restart();
    let again = app.post("k").await;
    assert_eq!((again.text.as_str(), again.replayed(), app.runs()), ("run 1", true, 1));
}

/// `everysec` loses its last second with the machine, and nothing with the process as long as no fsync is slow: see `fsync`.
#[tokio::test]
async fn also_where_it_is_fsynced_once_a_second() {
    let mut server = RedisServer::with(&["--appendonly", "yes", "--appendfsync", "everysec"]);
    let app = App::over(store(&server).await);
    for n in 0..50 {
        app.post(&n.to_string()).await;
    }
    server.kill();
    server.restart();
    for n in 0..50 {
        assert!(app.post(&n.to_string()).await.replayed());
    }
    assert_eq!(app.runs(), 50);
}

/// The promise ends with the memory of Redis: the same key is run again, and nothing here can tell.
#[tokio::test]
async fn without_one_everything_is_forgotten_and_runs_again() {
    let mut server = RedisServer::start();
    let app = App::over(store(&server).await);
    app.post("k").await;
    server.kill();
    server.restart();
    let again = app.post("k").await;
    assert_eq!((again.text.as_str(), again.replayed()), ("run 2", false));
}

/// A claim that was forgotten while its handler ran is not found again by guessing: its caller is sent to ask once more.
#[tokio::test]
async fn a_claim_that_was_forgotten_while_its_handler_ran_is_lost() {
    let mut server = RedisServer::start();
    let app = App::new(layer(store(&server).await), Duration::from_millis(500));
    let call = tokio::spawn({
        let app = app.clone();
        async move { app.post("k").await }
    });
    while app.runs() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    server.restart();
    let seen = call.await.unwrap();
    assert_eq!((seen.status, seen.title().as_str()), (StatusCode::CONFLICT, "request in flight"));
    assert_eq!(app.post("k").await.text, "run 2", "the key was free again");
}

#[tokio::test]
async fn a_claim_survives_with_its_lease() {
    let mut server = RedisServer::persistent();
    let slow = App::new(layer(store(&server).await), Duration::from_millis(800));
    let other = App::over(store(&server).await);
    let call = tokio::spawn({
        let slow = slow.clone();
        async move { slow.post("k").await }
    });
    while slow.runs() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    server.restart();
    assert_eq!(other.post("k").await.title(), "request in flight");
    assert_eq!(call.await.unwrap().text, "run 1");
    assert!(other.post("k").await.replayed());
    assert_eq!((slow.runs(), other.runs()), (1, 0));
}

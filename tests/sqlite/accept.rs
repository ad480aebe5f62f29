//! `accept()` over a file that another connection has locked.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use rusqlite::Connection;
use std::time::Duration;
use steadfast::{
    queue::{Accept, Queue},
    store::sqlite::SqliteStore,
};
use tempfile::TempDir;
use tokio::time::Instant;
use tower::ServiceExt;

async fn post(accept: &Accept) -> (StatusCode, Duration) {
    let request = Request::post("/").header("webhook-id", "1").body(Full::new(Bytes::from("hello"))).unwrap();
    let began = Instant::now();
    let answer = accept.clone().oneshot(request).await.unwrap();
    assert!(answer.status() != StatusCode::SERVICE_UNAVAILABLE || answer.headers().contains_key("retry-after"));
    (answer.status(), began.elapsed())
}

#[tokio::test]
async fn a_delivery_is_answered_within_the_deadline_while_another_connection_holds_the_lock() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store.db");
    let queue = Queue::new("q", SqliteStore::open(&path).unwrap());
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let deadline = Duration::from_millis(300);
    let accept = queue.accept().with_deadline(deadline);
    for _ in 0..3 {
        let (status, took) = post(&accept).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(took < deadline + Duration::from_secs(2), "answered after {took:?}");
    }
    other.execute_batch("ROLLBACK").unwrap();
    // the same delivery, which the writer may have stored by now
    let (status, _) = post(&queue.accept()).await;
    assert_eq!((status, queue.stats().await.unwrap().open()), (StatusCode::ACCEPTED, 1));
}

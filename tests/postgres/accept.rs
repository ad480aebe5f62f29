//! `accept()` over a server that is stalled or gone.

use super::{
    postgres_server::{Server, pool},
    proxy::{Fault, Proxy},
};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use std::time::Duration;
use steadfast::{
    queue::{Accept, Queue},
    store::postgres::PostgresStore,
};
use tokio::time::Instant;
use tower::ServiceExt;

async fn post(accept: &Accept, id: &str) -> (StatusCode, Duration, Option<String>) {
    let request = Request::post("/").header("webhook-id", id).body(Full::new(Bytes::from("hello"))).unwrap();
    let began = Instant::now();
    let answer = accept.clone().oneshot(request).await.unwrap();
    let retry_after = answer.headers().get("retry-after").map(|after| after.to_str().unwrap().to_owned());
    (answer.status(), began.elapsed(), retry_after)
}

fn is_refused_in_time(answer: &(StatusCode, Duration, Option<String>), deadline: Duration) {
    let (status, took, retry_after) = answer;
    assert_eq!((*status, retry_after.as_deref()), (StatusCode::SERVICE_UNAVAILABLE, Some("5")));
    assert!(*took < deadline + Duration::from_secs(2), "answered after {took:?}");
}

#[tokio::test]
async fn a_delivery_is_answered_within_the_deadline_whatever_the_server_does() {
    let mut server = Server::start();
    let proxy = Proxy::to(server.address().port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", proxy.port());
    let store = PostgresStore::new(pool(&url).await);
    store.migrate().await.unwrap();
    let queue = Queue::new("q", store);
    let deadline = Duration::from_millis(500);
    let accept = queue.accept().with_deadline(deadline);
    assert_eq!(post(&accept, "before").await.0, StatusCode::ACCEPTED);

    proxy.set(Fault::Hang);
    for n in 0..3 {
        is_refused_in_time(&post(&accept, &format!("stalled {n}")).await, deadline);
    }
    proxy.set(Fault::Pass);
    while post(&accept, "stalled 0").await.0 != StatusCode::ACCEPTED {}

    server.kill();
    for n in 0..3 {
        is_refused_in_time(&post(&accept, &format!("down {n}")).await, deadline);
    }
    // the default, as well
    is_refused_in_time(&post(&queue.accept(), "down 0").await, Accept::DEADLINE);
    server.restart();
    while post(&accept, "down 0").await.0 != StatusCode::ACCEPTED {}
    // what was refused may have been stored all the same, and then its repetition was a duplicate: never twice
    let open = queue.stats().await.unwrap().open();
    assert!((3..=7).contains(&open), "{open}");
}

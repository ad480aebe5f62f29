//! The idempotency key, outside of retry or not, before a server that honours keys.

use crate::other_side::{Body, OtherSide, SECOND, Step, post, retry};
use http::{Request, Response};
use http_body_util::BodyExt;
use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use steadfast::{
    classify::Repeatable,
    error::BoxError,
    idempotency::{IdempotencyKeyLayer, IdempotencyLayer, Scope},
    store::memory::MemoryStore,
    timeout::TimeoutLayer,
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneService};

/// A server that counts what it has done, behind a network that loses its first answer.
fn payments() -> (BoxCloneService<Request<Body>, Response<Body>, BoxError>, Arc<AtomicUsize>) {
    let done = Arc::new(AtomicUsize::new(0));
    let counted = done.clone();
    let handler = service_fn(move |_: Request<Body>| {
        counted.fetch_add(1, SeqCst);
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::from("paid"))))
    });
    let server =
        ServiceBuilder::new().layer(IdempotencyLayer::new(MemoryStore::new(), Scope::shared())).service(handler);
    let answers = Arc::new(AtomicUsize::new(0));
    let network = service_fn(move |request| {
        let (mut server, answers) = (server.clone(), answers.clone());
        async move {
            let (head, body) = server.ready().await?.call(request).await?.into_parts();
            let body = Body::from(body.collect().await?.to_bytes());
            match answers.fetch_add(1, SeqCst) {
                0 => Err(BoxError::from(io::Error::from(io::ErrorKind::ConnectionReset))),
                _ => Ok(Response::from_parts(head, body)),
            }
        }
    });
    (BoxCloneService::new(network), done)
}

/// Its owner says that it may be sent again.
fn repeatable_post() -> Request<Body> {
    let mut request = post();
    request.extensions_mut().insert(Repeatable::Yes);
    request
}

#[tokio::test(start_paused = true)]
async fn outside_of_retry_all_attempts_carry_one_key_and_it_is_done_once() {
    let (server, done) = payments();
    let client = ServiceBuilder::new().layer(IdempotencyKeyLayer::new()).layer(retry()).service(server);
    let answer = client.oneshot(post()).await.unwrap();
    assert_eq!(answer.headers()["idempotent-replayed"], "true");
    assert_eq!(done.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn inside_of_retry_every_attempt_has_another_key_and_it_is_done_twice() {
    let (server, done) = payments();
    let client = ServiceBuilder::new().layer(retry()).layer(IdempotencyKeyLayer::new()).service(server);
    let answer = client.oneshot(repeatable_post()).await.unwrap();
    assert!(!answer.headers().contains_key("idempotent-replayed"));
    assert_eq!(done.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn inside_of_retry_the_key_is_not_seen_and_a_post_is_not_repeated() {
    let (server, done) = payments();
    let client = ServiceBuilder::new().layer(retry()).layer(IdempotencyKeyLayer::new()).service(server);
    client.oneshot(post()).await.unwrap_err();
    assert_eq!(done.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn outside_of_the_deadline_a_key_is_as_good() {
    let other = OtherSide::new(|call| if call < 3 { Step::Hangs } else { Step::Answers(200) });
    let client = ServiceBuilder::new()
        .layer(IdempotencyKeyLayer::new())
        .layer(TimeoutLayer::total(30 * SECOND))
        .layer(retry())
        .layer(TimeoutLayer::attempt(10 * SECOND))
        .service(other.clone());
    assert_eq!(client.oneshot(post()).await.unwrap().status(), 200);
    let keys = other.seen(|seen| seen.key.clone().unwrap());
    assert_eq!((keys.len(), keys.iter().all(|key| *key == keys[0])), (3, true));
    let deadlines = other.seen(|seen| seen.attempt.deadline().unwrap());
    assert!(deadlines.iter().all(|deadline| *deadline == deadlines[0]));
}

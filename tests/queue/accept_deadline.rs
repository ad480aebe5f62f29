//! When `accept()` answers: by its deadline whatever the store does, by its limits whatever the sender does.

use crate::support::{FaultyStore, faulty, memory, secs};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use std::{
    convert::Infallible,
    sync::{Arc, Mutex, atomic::Ordering::SeqCst},
};
use steadfast::queue::Queue;
use tokio::time::{Instant, timeout};
use tower::ServiceExt;
use tracing::Level;
use tracing_subscriber::layer::SubscriberExt;

fn post(body: &str) -> Request<Full<Bytes>> {
    Request::post("/").body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_a_503_after_three_seconds_and_never_a_success() {
    for done in [false, true] {
        let store = FaultyStore::default();
        store.faults.enqueue_hangs(done);
        let queue = Queue::new("q", store);
        let began = Instant::now();
        let answer =
            timeout(secs(60), queue.accept().oneshot(post("hello"))).await.expect("no answer in 60 s").unwrap();
        assert_eq!((answer.status(), began.elapsed()), (StatusCode::SERVICE_UNAVAILABLE, secs(3)));
        assert_eq!(answer.headers()["retry-after"], "5");
        assert_eq!(queue.stats().await.unwrap().open(), u64::from(done), "the sender repeats it, with its key");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_stops_is_answered_408_and_stores_nothing() {
    let queue = memory();
    let body = StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let began = Instant::now();
    let answer = queue.accept().oneshot(Request::post("/").body(body).unwrap());
    let answer = timeout(secs(75), answer).await.expect("no answer in 75 s").unwrap();
    assert_eq!((answer.status(), began.elapsed()), (StatusCode::REQUEST_TIMEOUT, secs(10)));
    assert_eq!(answer.headers()["connection"], "close");
    assert_eq!(queue.stats().await.unwrap().open(), 0);
}

#[tokio::test]
async fn no_other_method_than_post_is_accepted() {
    let queue = memory();
    let unknown = Method::from_bytes(b"BREW").unwrap();
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE];
    for method in [Method::PUT, Method::PATCH, Method::DELETE, unknown, Method::CONNECT].into_iter().chain(safe) {
        let mut request = post("hello");
        *request.method_mut() = method.clone();
        let answer = queue.accept().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.headers()["allow"], "POST");
    }
    assert_eq!(queue.stats().await.unwrap().open(), 0);
}

#[tokio::test]
async fn the_limit_of_an_outer_layer_is_413() {
    let queue = memory();
    let body = http_body_util::Limited::new(Full::new(Bytes::from("too long")), 3);
    let answer = queue.accept().oneshot(Request::post("/").body(body).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(queue.stats().await.unwrap().open(), 0);
}

#[tokio::test]
async fn other_methods_are_accepted_if_they_are_allowed_and_safe_ones_never() {
    let queue = memory();
    let accept = queue.accept().with_methods([Method::PUT, Method::POST, Method::GET]);
    for (method, status) in [(Method::PUT, 202), (Method::POST, 202), (Method::GET, 405), (Method::DELETE, 405)] {
        let mut request = post("hello");
        *request.method_mut() = method.clone();
        let answer = accept.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{method}");
        assert_eq!(
            answer.headers().get("allow").map(|allow| allow.to_str().unwrap()),
            (status == 405).then_some("PUT, POST")
        );
    }
    assert_eq!(queue.stats().await.unwrap().open(), 2);
}

/// The levels of this crate's events, in order.
#[derive(Clone, Default)]
struct Levels(Arc<Mutex<Vec<tracing::Level>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Levels {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target() == "steadfast" {
            self.0.lock().unwrap().push(*event.metadata().level());
        }
    }
}

#[tokio::test]
async fn an_outage_of_the_store_is_one_warning() {
    // with one subscriber only, tracing asks the thread that comes first to an event, which may be another test's
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let levels = Levels::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(levels.clone()));
    let (queue, faults) = faulty();
    for (down, times) in [(false, 2), (true, 3), (false, 2), (true, 1)] {
        faults.enqueue.store(down, SeqCst);
        for _ in 0..times {
            queue.accept().oneshot(post("hello")).await.unwrap();
        }
    }
    let seen = levels.0.lock().unwrap().clone();
    assert_eq!(seen, [Level::WARN, Level::DEBUG, Level::DEBUG, Level::INFO, Level::WARN]);
}

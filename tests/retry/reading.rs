//! What is read of a response before the decision.

use crate::server::{Chunk, data, stream, trailers};
use axum::body::Body;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use steadfast::{
    body::Prefetch,
    retry::{Allowance, Attempts, Budget, HeadOnly, ReadAhead, RetryLayer, Stop},
};
use tower::{Layer, Service, ServiceExt, service_fn};

fn cut() -> Chunk {
    Err(io::Error::other("cut"))
}

type Frames = fn() -> Vec<Chunk>;

/// Answers 200 with these frames, one after the other; and how often it was called.
fn answers(
    grpc: bool,
    frames: Vec<Frames>,
) -> (Arc<AtomicUsize>, impl Service<Request<Full<bytes::Bytes>>, Response = Response<Body>, Error = Infallible> + Clone)
{
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let service = service_fn(move |_| {
        let frames = frames[counted.fetch_add(1, SeqCst).min(frames.len() - 1)]();
        async move {
            let (feed, body) = stream();
            tokio::spawn(async move {
                for frame in frames {
                    tokio::task::yield_now().await;
                    _ = feed.send(frame).await;
                }
            });
            let response = Response::builder();
            let response = if grpc { response.header("content-type", "application/grpc") } else { response };
            Ok(response.body(Body::new(body)).unwrap())
        }
    });
    (calls, service)
}

fn get() -> Request<Full<bytes::Bytes>> {
    Request::get("/").body(Full::from("question")).unwrap()
}

const HALF: Frames = || vec![data("ha"), cut()];
const WHOLE: Frames = || vec![data("who"), data("le")];

#[tokio::test(start_paused = true)]
async fn the_head_alone_decides_unless_asked() {
    let (calls, service) = answers(false, vec![HALF]);
    let response: Response<Body> = RetryLayer::default().layer(service).oneshot(get()).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    assert_eq!(calls.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_breaks_within_the_limit_is_repeated() {
    let (calls, service) = answers(false, vec![HALF, WHOLE]);
    let response: Response<Prefetch<Body>> =
        RetryLayer::default().read_ahead(100).layer(service).oneshot(get()).await.unwrap();
    assert_eq!(Attempts::of(response.extensions()).unwrap().made(), 2);
    let body = response.into_body();
    assert_eq!(body.size_hint().exact(), Some(5)); // all of it is here
    assert_eq!((body.collect().await.unwrap().to_bytes(), calls.load(SeqCst)), ("whole".into(), 2));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_breaks_after_the_limit_is_not() {
    let (calls, service) = answers(false, vec![HALF, WHOLE]);
    let response = RetryLayer::default().read_ahead(2).layer(service).oneshot(get()).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ha");
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(calls.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_breaks_every_time_comes_out_broken_as_it_came() {
    let (calls, service) = answers(false, vec![HALF]);
    let budget = Budget::new(Allowance::new().with_start(1).without_trickle());
    let layer = RetryLayer::default().with_budget(budget).read_ahead(100);
    let response = layer.layer(service).oneshot(get()).await.unwrap();
    let attempts = Attempts::of(response.extensions()).unwrap();
    assert_eq!((attempts.made(), attempts.stop(), calls.load(SeqCst)), (2, Stop::Budget, 2));
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ha");
    assert!(body.frame().await.unwrap().is_err());
    assert!(body.frame().await.is_none());
    assert!(body.is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn a_grpc_status_in_trailers_is_seen_only_when_read_ahead_and_before_a_message() {
    const UNAVAILABLE: Frames = || vec![trailers("grpc-status", 14)];
    const MESSAGE_FIRST: Frames = || vec![data("message"), trailers("grpc-status", 14)];
    const FINE: Frames = || vec![data("message"), trailers("grpc-status", 0)];
    let run = |layer: RetryLayer<_, _, _, ReadAhead>, frames: Vec<Frames>| async move {
        let (calls, service) = answers(true, frames);
        let response = layer.layer(service).oneshot(get()).await.unwrap();
        let body = response.into_body().collect().await.unwrap();
        (calls.load(SeqCst), body.trailers().unwrap()["grpc-status"].clone())
    };
    let ahead = || RetryLayer::default().read_ahead(0);
    assert_eq!(run(ahead(), vec![UNAVAILABLE, FINE]).await, (2, "0".parse().unwrap()));
    // a message came: it is committed
    assert_eq!(run(ahead(), vec![MESSAGE_FIRST, FINE]).await, (1, "14".parse().unwrap()));
    assert_eq!(run(ahead(), vec![FINE]).await, (1, "0".parse().unwrap()));
    // unless the limit holds the whole of it
    assert_eq!(run(RetryLayer::default().read_ahead(100), vec![MESSAGE_FIRST, FINE]).await, (2, "0".parse().unwrap()));

    let (calls, service) = answers(true, vec![UNAVAILABLE, FINE]);
    let layer: RetryLayer<_, _, _, HeadOnly> = RetryLayer::default();
    layer.layer(service).oneshot(get()).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(calls.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_is_judged_by_its_trailers_too() {
    let (calls, service) = answers(true, vec![|| vec![trailers("grpc-status", 14)]]);
    let budget =
        Budget::new(Allowance::new().with_start(2).with_ratio(steadfast::setting::Ratio::ALL).without_trickle());
    let layer = RetryLayer::default().with_budget(budget.clone()).read_ahead(0);
    let response = layer.layer(service).oneshot(get()).await.unwrap();
    let attempts = Attempts::of(response.extensions()).unwrap();
    assert_eq!((attempts.made(), attempts.stop(), calls.load(SeqCst)), (3, Stop::Exhausted, 3));
    // a failure pays nothing in
    assert_eq!(budget.left(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_grpc_status_in_the_head_is_seen_without_reading() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let inner = service_fn(move |_: Request<Full<bytes::Bytes>>| {
        let status = if counted.fetch_add(1, SeqCst) == 0 { 14 } else { 0 };
        let response = Response::builder().header("content-type", "application/grpc").header("grpc-status", status);
        std::future::ready(response.body(Body::empty()))
    });
    RetryLayer::default().layer(inner).oneshot(get()).await.unwrap();
    assert_eq!(calls.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_grpc_answer_that_ends_without_a_status_is_a_fault_and_pays_nothing_in() {
    let (_, service) = answers(true, vec![|| vec![]]);
    let budget =
        Budget::new(Allowance::new().with_start(0).with_ratio(steadfast::setting::Ratio::ALL).without_trickle());
    let layer = RetryLayer::default().with_budget(budget.clone());
    layer.clone().read_ahead(0).layer(service).oneshot(get()).await.unwrap();
    assert_eq!(budget.left(), 0);
    let (_, service) = answers(true, vec![|| vec![trailers("grpc-status", 0)]]);
    layer.read_ahead(0).layer(service).oneshot(get()).await.unwrap();
    assert_eq!(budget.left(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_still_streams_is_not_waited_for() {
    let (feed, body) = stream();
    feed.send(data("hello")).await.unwrap();
    // answers at once, and sends something only after it got the whole request
    let inner = service_fn(|request: Request<Body>| async move {
        let (answer, body) = stream();
        tokio::spawn(async move {
            let all = request.into_body().collect().await.unwrap().to_bytes();
            answer.send(Ok(http_body::Frame::data(all))).await.unwrap();
        });
        Ok::<_, Infallible>(Response::new(Body::new(body)))
    });
    let call =
        RetryLayer::default().read_ahead(100).layer(inner).oneshot(Request::put("/").body(Body::new(body)).unwrap());
    let response = tokio::time::timeout(Duration::from_secs(1), call).await.unwrap().unwrap();
    feed.send(data(" world")).await.unwrap();
    drop(feed);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello world");
}

#[tokio::test(start_paused = true)]
async fn a_drop_while_it_reads_ends_the_call() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let seen = dropped.clone();
    let inner = service_fn(move |_: Request<Full<bytes::Bytes>>| {
        let (feed, body) = stream();
        let seen = seen.clone();
        tokio::spawn(async move {
            feed.closed().await;
            seen.fetch_add(1, SeqCst);
        });
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::new(body))))
    });
    let call = RetryLayer::default().read_ahead(100).layer(inner).oneshot(get());
    assert!(tokio::time::timeout(Duration::from_secs(1), call).await.is_err());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(dropped.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn frames_that_were_read_ahead_come_in_order_and_once() {
    const THREE: Frames = || vec![data("a"), data("b"), data("c"), trailers("x-sum", 3)];
    for limit in [0, 1, 2, 3, 100] {
        let (_, service) = answers(false, vec![THREE]);
        let response = RetryLayer::default().read_ahead(limit).layer(service).oneshot(get()).await.unwrap();
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-sum"], "3");
        assert_eq!(body.to_bytes(), "abc");
    }
}

/// Answers 200 with these frames of gRPC-Web, each time the next ones. How often it was called, and the body that came out.
async fn web(content_type: &'static str, limit: usize, answers: Vec<Vec<&'static [u8]>>) -> (usize, Vec<u8>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let service = service_fn(move |_: Request<Full<bytes::Bytes>>| {
        let frames = &answers[counted.fetch_add(1, SeqCst).min(answers.len() - 1)];
        let frame =
            |frame: &&'static [u8]| Ok::<_, Infallible>(http_body::Frame::data(bytes::Bytes::from_static(frame)));
        let frames: Vec<_> = frames.iter().map(frame).collect();
        let body = Body::new(http_body_util::StreamBody::new(tokio_stream::iter(frames)));
        std::future::ready(Response::builder().header("content-type", content_type).body(body))
    });
    let response = RetryLayer::default().read_ahead(limit).layer(service).oneshot(get()).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (calls.load(SeqCst), body.to_vec())
}

#[tokio::test(start_paused = true)]
async fn a_grpc_web_status_is_seen_when_its_frame_was_read_ahead() {
    const MESSAGE: &[u8] = b"\0\0\0\0\x02hi";
    const AWAY: &[u8] = b"\x80\0\0\0\x10grpc-status:14\r\n";
    const WELL: &[u8] = b"\x80\0\0\0\x0fgrpc-status:0\r\n";
    let binary = "application/grpc-web+proto";
    let well = [MESSAGE, WELL].concat();
    let (start, end) = AWAY.split_at(3);
    // behind a message; cut inside of the frame; without a message, where the first frame is enough
    for (limit, first) in [(1000, vec![MESSAGE, AWAY]), (1000, vec![start, end]), (0, vec![AWAY])] {
        assert_eq!(web(binary, limit, vec![first, vec![MESSAGE, WELL]]).await, (2, well.clone()));
    }
    assert_eq!(web(binary, 1000, vec![vec![MESSAGE, WELL]]).await, (1, well));
    // beyond the limit it is not seen, and without a status the head counts
    assert_eq!(web(binary, 1, vec![vec![MESSAGE, AWAY]]).await.0, 1);
    assert_eq!(web(binary, 1000, vec![vec![MESSAGE]]).await.0, 1);
    let (text, hi) = ("application/grpc-web-text", &b"AAAAAAJoaQ=="[..]);
    let away = vec![hi, b"gAAAABBncnBj", b"LXN0YXR1czoxNA0K"];
    assert_eq!(web(text, 1000, vec![away, vec![hi]]).await, (2, hi.to_vec()));
}

//! Request bodies that are sent again.

use crate::server::{data, stream, trailers};
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{
    BodyExt, Empty, Full,
    combinators::{BoxBody, UnsyncBoxBody},
};
use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use steadfast::{
    body::{Caps, FromReplay, LetGo, Prefetch, ReplayError, tee},
    error::{BoxError, find},
    retry::{Attempts, HttpReplay, Replay, RetryLayer, Stop},
};
use tower::{Layer, Service, ServiceExt, service_fn};

async fn text<B: http_body::Body>(body: B) -> Bytes
where
    B::Error: std::fmt::Debug,
{
    body.collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn chunks_and_trailers_pass_at_once_and_are_given_again() {
    let caps = Caps::new(1000, 1000);
    let (feed, body) = stream();
    let (live, handle) = tee(Body::new(body), &caps, Body::can_abort());
    let mut live = Body::from_replay(live);
    feed.send(data("one")).await.unwrap();
    assert_eq!(live.frame().await.unwrap().unwrap().into_data().unwrap(), "one"); // the next is not there yet
    assert!(!handle.is_complete());
    feed.send(data("two")).await.unwrap();
    feed.send(trailers("x-sum", 6)).await.unwrap();
    drop(feed);
    let rest = live.collect().await.unwrap();
    assert_eq!(rest.trailers().unwrap()["x-sum"], "6");
    assert!(handle.is_complete());
    let again = Body::from_replay(handle.again().unwrap());
    assert_eq!(again.size_hint().exact(), Some(6));
    assert!(!again.is_end_stream());
    let again = again.collect().await.unwrap();
    assert_eq!(again.trailers().unwrap()["x-sum"], "6");
    assert_eq!(again.to_bytes(), "onetwo");
    // the trailers count too
    assert!((6 + "x-sum6".len()..200).contains(&caps.used()), "{}", caps.used());
    drop(handle);
    assert_eq!(caps.used(), 0);
}

#[tokio::test]
async fn a_later_attempt_takes_the_live_source_and_the_one_before_is_broken_off() {
    let (feed, body) = stream();
    let (live, handle) = tee(Body::new(body), &Caps::default(), true);
    let mut old = Body::from_replay(live);
    feed.send(data("a")).await.unwrap();
    old.frame().await.unwrap().unwrap();
    // it waits for the source when it is superseded, and is woken
    let stuck = tokio::spawn(async move { old.frame().await.unwrap().unwrap_err() });
    tokio::task::yield_now().await;
    let new = Body::from_replay(handle.again().unwrap());
    let error = stuck.await.unwrap();
    assert!(find::<LetGo>(&error).is_some(), "{error:?}");
    feed.send(data("b")).await.unwrap();
    drop(feed);
    assert_eq!(text(new).await, "ab");
}

#[tokio::test]
async fn a_superseded_body_never_looks_complete() {
    let (feed, body) = stream();
    let (mut old, handle) = tee(Body::new(body), &Caps::default(), true);
    feed.send(data("a")).await.unwrap();
    old.frame().await.unwrap().unwrap();
    let mut new = handle.again().unwrap();
    assert!(!old.is_end_stream());
    assert!(matches!(old.frame().await, Some(Err(ReplayError::LetGo(_)))));
    drop(feed);
    assert_eq!(new.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
    assert!(new.frame().await.is_none());
    // what is complete stays complete, for both
    assert_eq!(text(handle.again().unwrap()).await, "a");
}

#[tokio::test]
async fn over_the_cap_of_a_request_the_original_goes_on_and_the_copy_is_freed() {
    let caps = Caps::new(3, 100);
    let (feed, body) = stream();
    let (mut live, handle) = tee(Body::new(body), &caps, true);
    feed.send(data("abc")).await.unwrap();
    live.frame().await.unwrap().unwrap();
    assert_eq!(caps.used(), 3);
    feed.send(data("d")).await.unwrap();
    feed.send(trailers("x-sum", 4)).await.unwrap();
    drop(feed);
    let rest = live.collect().await.unwrap();
    assert_eq!(caps.used(), 0);
    assert_eq!(rest.trailers().unwrap()["x-sum"], "4");
    assert_eq!(rest.to_bytes(), "d");
    assert!(handle.again().is_none());
}

#[tokio::test]
async fn a_thousand_requests_keep_no_more_than_the_cap_of_all_and_all_arrive() {
    const EACH: &str = "0123456789";
    let caps = Caps::new(100, 1000);
    let mut kept = Vec::new();
    for _ in 0..1000 {
        let (feed, body) = stream();
        feed.send(data(EACH)).await.unwrap();
        drop(feed);
        let (live, handle) = tee(Body::new(body), &caps, true);
        assert_eq!(text(live).await, EACH);
        assert!(caps.used() <= 1000);
        kept.push(handle);
    }
    assert_eq!(kept.iter().filter(|handle| handle.again().is_some()).count(), 100);
    drop(kept);
    assert_eq!(caps.used(), 0);
}

#[tokio::test]
async fn a_source_error_is_final() {
    let caps = Caps::new(100, 100);
    let (feed, body) = stream();
    let (mut live, handle) = tee(Body::new(body), &caps, true);
    feed.send(data("a")).await.unwrap();
    feed.send(Err(io::Error::other("disk"))).await.unwrap();
    live.frame().await.unwrap().unwrap();
    assert!(matches!(live.frame().await, Some(Err(ReplayError::Source(_)))));
    assert!(live.frame().await.is_none());
    assert!(handle.again().is_none());
    assert_eq!(caps.used(), 0);
}

#[tokio::test]
async fn an_exact_length_stays_exact_in_the_middle_of_a_switch() {
    let source = Body::from("0123456789");
    let (live, handle) = tee(source, &Caps::default(), true);
    assert_eq!(live.size_hint().exact(), Some(10));
    let again = handle.again().unwrap();
    assert_eq!(again.size_hint().exact(), Some(10));
    assert_eq!(text(again).await, "0123456789");
    assert_eq!(handle.again().unwrap().size_hint().exact(), Some(10));
}

#[tokio::test]
async fn the_last_attempt_frees_what_it_has_sent() {
    let caps = Caps::new(100, 100);
    let (feed, body) = stream();
    let (mut first, handle) = tee(Body::new(body), &caps, true);
    feed.send(data("ab")).await.unwrap();
    first.frame().await.unwrap().unwrap();
    let mut last = handle.again().unwrap();
    drop((first, handle)); // nobody will ask again
    assert_eq!(caps.used(), 2);
    assert_eq!(last.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
    feed.send(data("cd")).await.unwrap();
    assert_eq!(last.frame().await.unwrap().unwrap().into_data().unwrap(), "cd");
    assert_eq!(caps.used(), 0);
    drop(feed);
    assert!(last.frame().await.is_none());
}

#[tokio::test]
async fn a_boxed_body_whose_error_cannot_say_it_switches_only_after_the_one_before_let_go() {
    type Boxed = UnsyncBoxBody<Bytes, Infallible>;
    assert!(!Boxed::can_abort() && !BoxBody::<Bytes, Infallible>::can_abort());
    assert!(UnsyncBoxBody::<Bytes, BoxError>::can_abort() && BoxBody::<Bytes, io::Error>::can_abort());
    let (live, handle) = tee(Full::new(Bytes::from("xyz")).boxed_unsync(), &Caps::default(), Boxed::can_abort());
    let live = Boxed::from_replay(live);
    assert!(handle.again().is_none());
    drop(live);
    let again = Boxed::from_replay(handle.again().unwrap());
    assert_eq!(again.size_hint().exact(), Some(3));
    assert_eq!(text(again).await, "xyz");
}

#[tokio::test]
async fn every_body_type_gives_back_what_it_was_made_of() {
    async fn holds<B: FromReplay<Error: std::fmt::Debug>>(source: B, expected: &'static str) {
        let (live, handle) = tee(source, &Caps::default(), B::can_abort());
        assert_eq!(text(B::from_replay(live)).await, expected);
        assert_eq!(text(B::from_replay(handle.again().unwrap())).await, expected);
        assert_eq!(text(B::from_whole(Bytes::from(expected), None)).await, expected);
    }
    let full = || Full::new(Bytes::from("abc"));
    holds(Body::from("abc"), "abc").await;
    holds(reqwest::Body::from("abc"), "abc").await;
    holds(tonic::body::Body::new(full()), "abc").await;
    holds(full().boxed(), "abc").await;
    holds(full().boxed_unsync(), "abc").await;
    holds(Empty::<Bytes>::new(), "").await;
    // cloned by reference, never through a tee
    assert_eq!(text(full().try_clone().unwrap()).await, "abc");
    assert!(Body::from("abc").try_clone().is_none());
}

#[test]
fn an_empty_body_is_neither_wrapped_nor_kept() {
    /// Nothing, and nothing that anybody may wrap.
    struct Nothing;
    impl http_body::Body for Nothing {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
            std::task::Poll::Ready(None)
        }
        fn is_end_stream(&self) -> bool {
            true
        }
    }
    impl FromReplay for Nothing {
        fn from_replay(_: steadfast::body::ReplayBody<Self>) -> Self {
            panic!("wrapped")
        }
        fn from_whole(data: Bytes, trailers: Option<http::HeaderMap>) -> Self {
            assert!(data.is_empty() && trailers.is_none());
            Self
        }
    }
    let (_, handle) = HttpReplay.tee(Request::get("/a").body(Nothing).unwrap(), &Caps::default());
    let mut handle = handle.unwrap();
    assert!(Replay::<Request<Nothing>>::is_complete(&HttpReplay, &handle));
    for last in [false, true] {
        let again: Request<Nothing> = HttpReplay.again(&mut handle, last).unwrap();
        assert_eq!(again.uri(), "/a");
    }
}

/// Reads the first frame, says 503 to the first attempt and echoes the next.
fn switching(
    old: Arc<Mutex<Option<Body>>>,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone {
    service_fn(move |request: Request<Body>| {
        let old = old.clone();
        async move {
            let mut body = request.into_body();
            if old.lock().unwrap().is_none() {
                body.frame().await.unwrap().unwrap();
                // somebody below still has it: a connection's task
                *old.lock().unwrap() = Some(body);
                let response = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE);
                return Ok(response.body(Body::empty()).unwrap());
            }
            Ok(Response::new(Body::from(text(body).await)))
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_long_upload_that_is_answered_early_goes_on_where_it_is() {
    const LEFT: usize = 1 << 20;
    let (feed, body) = stream();
    let caps = Caps::new(64 << 10, 64 << 10);
    let old = Arc::new(Mutex::new(None));
    let mut service = RetryLayer::default().with_caps(caps.clone()).layer(switching(old.clone()));
    feed.send(data("ten kilobytes, say")).await.unwrap();
    let call = tokio::spawn(service.ready().await.unwrap().call(Request::put("/").body(Body::new(body)).unwrap()));
    let sending = tokio::spawn(async move {
        // the rest is far over the cap: it is the last attempt's to take, or nobody's
        tokio::time::sleep(Duration::from_secs(1)).await;
        for _ in 0..LEFT / 1024 {
            feed.send(Ok(http_body::Frame::data(Bytes::from(vec![b'x'; 1024])))).await.unwrap();
        }
    });
    let response = call.await.unwrap().unwrap();
    sending.await.unwrap();
    assert_eq!(response.status(), 200);
    let body = text(response.into_body()).await;
    assert_eq!((body.len(), body.starts_with(b"ten kilobytes, sayxxx")), (18 + LEFT, true));
    let mut old = old.lock().unwrap().take().unwrap();
    assert!(find::<LetGo>(&old.frame().await.unwrap().unwrap_err()).is_some());
    assert_eq!(caps.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_cap_goes_through_and_is_not_repeated() {
    let inner = service_fn(|request: Request<Body>| async move {
        let got = text(request.into_body()).await;
        let response = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE).header("got", got.len());
        Ok::<_, Infallible>(response.body(Body::empty()).unwrap())
    });
    let caps = Caps::new(5, 100);
    let budget = steadfast::retry::Budget::default();
    let layer = RetryLayer::default().with_caps(caps.clone()).with_budget(budget.clone());
    let response = layer.layer(inner).oneshot(Request::put("/").body(Body::from("sixsix")).unwrap()).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["got"]), (503, &"6".parse().unwrap()));
    let attempts = Attempts::of(response.extensions()).unwrap();
    assert_eq!((attempts.made(), attempts.stop()), (1, Stop::NotReplayable));
    // the permit that was already taken went back
    assert_eq!((budget.left(), caps.used()), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn a_broken_source_gives_the_answer_back() {
    let inner = service_fn(|request: Request<Body>| async move {
        let broke = request.into_body().collect().await.is_err();
        assert!(broke);
        let response = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE);
        Ok::<_, Infallible>(response.body(Body::empty()).unwrap())
    });
    let (feed, body) = stream();
    feed.send(Err(io::Error::other("disk"))).await.unwrap();
    let response =
        RetryLayer::default().layer(inner).oneshot(Request::put("/").body(Body::new(body)).unwrap()).await.unwrap();
    assert_eq!(Attempts::of(response.extensions()).unwrap().stop(), Stop::NotReplayable);
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_is_freed_when_the_call_ends_and_not_when_its_future_goes() {
    let caps = Caps::new(100, 100);
    let inner = service_fn(|request: Request<Body>| async move {
        text(request.into_body()).await;
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let mut service = RetryLayer::default().with_caps(caps.clone()).layer(inner);
    let mut call = Box::pin(service.ready().await.unwrap().call(Request::put("/").body(Body::from("abc")).unwrap()));
    call.as_mut().await.unwrap();
    assert_eq!(caps.used(), 0);
    drop(call);
}

#[tokio::test]
async fn a_reqwest_request_is_made_again_with_all_that_it_has() {
    let caps = Caps::new(100, 100);
    let client = reqwest::Client::new();
    let build = |body: reqwest::Body| {
        let request = client.put("http://example.com/a?b=c").header("x-h", "v").body(body);
        request.timeout(Duration::from_secs(7)).build().unwrap()
    };
    let (feed, body) = stream();
    feed.send(data("abc")).await.unwrap();
    drop(feed);
    for request in [build("abc".into()), build(reqwest::Body::wrap(body))] {
        let (first, handle) = HttpReplay.tee(request, &caps);
        let mut handle = handle.unwrap();
        let mut sent = first;
        for last in [false, true] {
            assert_eq!(text(sent.body_mut().take().unwrap()).await, "abc");
            assert!(Replay::<reqwest::Request>::is_complete(&HttpReplay, &handle));
            sent = HttpReplay.again(&mut handle, last).unwrap();
            assert_eq!((sent.method().as_str(), sent.url().as_str()), ("PUT", "http://example.com/a?b=c"));
            assert_eq!(
                (&sent.headers()["x-h"], sent.timeout().map(Duration::as_secs)),
                (&"v".parse().unwrap(), Some(7))
            );
        }
        assert_eq!(text(sent.body_mut().take().unwrap()).await, "abc");
    }
    let request = client.get("http://example.com/").build().unwrap();
    let (_, handle) = HttpReplay.tee(request, &caps);
    let again: reqwest::Request = HttpReplay.again(&mut handle.unwrap(), true).unwrap();
    assert!(again.body().is_none());
}

/// A response body of a known length that gives these frames, and then an error if it is to fail.
struct Answering {
    frames: std::collections::VecDeque<&'static str>,
    left: u64,
    fails: bool,
}

impl http_body::Body for Answering {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, io::Error>>> {
        std::task::Poll::Ready(match self.frames.pop_front() {
            Some(text) => {
                self.left -= text.len() as u64;
                Some(data(text))
            }
            None if self.fails => {
                (self.fails, self.left) = (false, 0);
                Some(Err(io::Error::other("cut")))
            }
            None => None,
        })
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.left)
    }
}

async fn read_ahead(limit: usize, body: impl Fn() -> Answering + Clone + Send + 'static) -> Prefetch<Answering> {
    let inner = service_fn(move |_: Request<Full<Bytes>>| {
        let body = body();
        async move { Ok::<_, Infallible>(Response::new(body)) }
    });
    let layer = RetryLayer::default()
        .with_budget(steadfast::retry::Budget::new(steadfast::retry::Allowance::new().with_start(0).without_trickle()));
    layer.read_ahead(limit).layer(inner).oneshot(Request::default()).await.unwrap().into_body()
}

#[tokio::test(start_paused = true)]
async fn a_response_that_broke_while_it_was_read_ahead_does_not_look_complete() {
    let body = || Answering { frames: ["abc"].into(), left: 11, fails: true };
    let mut body = read_ahead(100, body).await;
    // a server that passes it on would send this as Content-Length
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(11), false));
    assert!(!format!("{body:?}").contains("abc"));
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(8), false));
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn small_frames_that_are_read_ahead_are_joined_and_empty_ones_left_out() {
    const MANY: usize = 10_000;
    let body = || {
        let frames = (0..MANY).flat_map(|n| [["a", "b"][n % 2], ""]).collect();
        Answering { frames, left: MANY as u64, fails: false }
    };
    for limit in [0, 1, 100, usize::MAX] {
        let mut body = read_ahead(limit, body).await;
        assert_eq!(body.size_hint().exact(), Some(MANY as u64));
        let (mut frames, mut got) = (0, Vec::new());
        while let Some(frame) = body.frame().await {
            got.extend(frame.unwrap().into_data().unwrap());
            frames += 1;
        }
        assert_eq!(got, b"ab".repeat(MANY / 2), "{limit}");
        if limit == usize::MAX {
            assert_eq!(frames, 2);
        }
    }
}

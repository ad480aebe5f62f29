//! Bodies: read under a limit, made here, and watched to their end.

use crate::told::Told;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use std::{
    cell::Cell,
    convert::Infallible,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};
use steadfast::{
    body::{Collected, FromReplay, Unread, read},
    classify::{Classify, Failure, Http, Outcome, Repeatable, Verdict},
};

type Frames = Vec<Result<Frame<Bytes>, io::Error>>;

#[allow(clippy::unnecessary_wraps, reason = "one of several frames, some of which are errors")]
fn data(text: &'static str) -> Result<Frame<Bytes>, io::Error> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

#[allow(clippy::unnecessary_wraps, reason = "as above")]
fn trailers(name: &'static str, value: &'static str) -> Result<Frame<Bytes>, io::Error> {
    Ok(Frame::trailers(HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])))
}

fn broken() -> Result<Frame<Bytes>, io::Error> {
    Err(io::ErrorKind::ConnectionReset.into())
}

fn stream(frames: Frames) -> impl Body<Data = Bytes, Error = io::Error> + Unpin {
    StreamBody::new(tokio_stream::iter(frames))
}

// ---- read ----

/// Chunks of ten bytes without end or up to `left`, and how many were taken.
struct Tens {
    left: usize,
    says: SizeHint,
    taken: Rc<Cell<usize>>,
}

impl Body for Tens {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        self.taken.set(self.taken.get() + 10);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"0123456789")))))
    }

    fn size_hint(&self) -> SizeHint {
        self.says
    }
}

fn tens(left: usize, says: SizeHint) -> (Tens, Rc<Cell<usize>>) {
    let taken = Rc::default();
    (Tens { left, says, taken: Rc::clone(&taken) }, taken)
}

#[tokio::test]
async fn a_body_up_to_the_limit_is_read_whole() {
    for limit in [6, 7, usize::MAX] {
        let body = stream(vec![data("ab"), data(""), data("cdef"), trailers("x-sum", "1")]);
        let Collected { data, trailers } = read(body, limit).await.unwrap();
        assert_eq!(data, "abcdef");
        assert_eq!(trailers.unwrap()["x-sum"], "1", "trailers are kept");
    }
    assert_eq!(read(Empty::<Bytes>::new(), 0).await.unwrap(), Collected::default());
    assert_eq!(read(Full::<Bytes>::from("abc"), 3).await.unwrap().data, "abc");
}

#[tokio::test]
async fn a_body_in_one_frame_is_not_copied() {
    let whole = Bytes::from(vec![7; 1000]);
    let read = read(Full::new(whole.clone()), 1000).await.unwrap();
    assert_eq!(read.data.as_ptr(), whole.as_ptr());
}

#[tokio::test]
async fn one_byte_more_than_the_limit_is_too_large() {
    for frames in [vec![data("abcd")], vec![data("abc"), data("d")], vec![data("a"), data("bcd"), trailers("x", "1")]] {
        assert!(matches!(read(stream(frames), 3).await, Err(Unread::TooLarge)));
    }
}

#[tokio::test]
async fn up_to_three_limits_more_are_read_off() {
    // to the end: the connection can be used again
    let (body, taken) = tens(10, SizeHint::new());
    assert!(matches!(read(body, 30).await, Err(Unread::TooLarge)));
    assert_eq!(taken.get(), 100);
    // and no further: limit, three more, and the chunk that was beyond
    let (body, taken) = tens(usize::MAX, SizeHint::new());
    assert!(matches!(read(body, 30).await, Err(Unread::TooLarge)));
    assert_eq!(taken.get(), 130);
}

#[tokio::test]
async fn a_body_that_says_it_is_longer_than_that_is_not_read_at_all() {
    let (body, taken) = tens(usize::MAX, SizeHint::with_exact(121));
    assert!(matches!(read(body, 30).await, Err(Unread::TooLarge)));
    assert_eq!(taken.get(), 0);
    let (body, taken) = tens(12, SizeHint::with_exact(120));
    assert!(matches!(read(body, 30).await, Err(Unread::TooLarge)));
    assert_eq!(taken.get(), 120);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_and_no_short_body() {
    for frames in [vec![broken()], vec![data("abc"), broken()], vec![data("much too long"), broken()]] {
        let Err(Unread::Broken(error)) = read(stream(frames), 4).await else { panic!("it did not break") };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

/// A lower bound that lies is no reason to reserve what it says.
#[tokio::test]
async fn a_size_hint_is_not_trusted_beyond_the_limit() {
    let mut says = SizeHint::new();
    says.set_lower(40);
    let (body, _) = tens(1, says);
    assert_eq!(read(body, 20).await.unwrap().data.len(), 10);
}

// ---- watch ----

/// A 200 over these frames, watched.
fn watched(content_type: &str, frames: Frames, told: &Told) -> impl Body<Data = Bytes, Error = io::Error> + Unpin {
    let response = Response::builder().header("content-type", content_type).body(stream(frames)).unwrap();
    watch(response, told)
}

fn watch<B>(response: Response<B>, told: &Told) -> steadfast::body::Watch<B>
where
    B: Body<Data = Bytes>,
{
    let http = Http::new();
    let head: Verdict = Classify::<Request<()>, Response<B>, Infallible>::head(&http, &response, Repeatable::No);
    Classify::<Request<()>, Response<B>, Infallible>::watch(&http, response, head, told.recorder()).into_body()
}

const PLAIN: &str = "text/plain";
const GRPC: &str = "application/grpc";

#[tokio::test]
async fn a_stream_is_a_success_at_its_end_and_not_before() {
    let told = Told::default();
    let mut body = watched(PLAIN, vec![data("a"), data("b")], &told);
    for _ in 0..2 {
        body.frame().await.unwrap().unwrap();
        assert_eq!(told.outcomes(), []);
    }
    assert!(body.frame().await.is_none());
    assert_eq!(told.outcomes(), [Outcome::Success]);
    drop(body);
    assert_eq!(told.outcomes(), [Outcome::Success], "told once");
}

/// hyper does not poll a body again that says that it is at its end.
#[tokio::test]
async fn a_body_that_says_it_is_at_its_end_is_not_polled_again() {
    let told = Told::default();
    let mut body = watch(Response::new(Full::<Bytes>::from("all of it")), &told);
    assert_eq!(told.outcomes(), []);
    body.frame().await.unwrap().unwrap();
    assert!(body.is_end_stream());
    assert_eq!(told.outcomes(), [Outcome::Success]);
}

#[test]
fn an_empty_body_is_a_success_with_its_head() {
    let told = Told::default();
    let _body = watch(Response::new(Empty::<Bytes>::new()), &told);
    assert_eq!(told.outcomes(), [Outcome::Success]);
}

#[test]
fn a_head_that_is_no_success_is_the_verdict_already() {
    for (status, outcome) in [
        (404, Outcome::Rejected),
        (503, Outcome::Failure(Failure::Transient)),
        (403, Outcome::Rejected),
        (500, Outcome::Failure(Failure::Fault)),
    ] {
        let told = Told::default();
        let response = Response::builder().status(status).body(stream(vec![data("more to come")])).unwrap();
        let _body = watch(response, &told);
        assert_eq!(told.outcomes(), [outcome], "{status}");
    }
}

#[tokio::test]
async fn trailers_of_plain_http_end_it_well() {
    let told = Told::default();
    let whole = watched(PLAIN, vec![data("a"), trailers("x-sum", "1")], &told).collect().await.unwrap();
    assert_eq!((whole.trailers().unwrap()["x-sum"].as_bytes(), told.outcomes()), (&b"1"[..], vec![Outcome::Success]));
}

#[tokio::test]
async fn a_stream_that_breaks_is_a_failure_although_the_head_said_200() {
    let told = Told::default();
    assert!(watched(PLAIN, vec![data("a"), broken()], &told).collect().await.is_err());
    assert_eq!(told.outcomes(), [Outcome::Failure(Failure::Transient)]);
}

#[tokio::test]
async fn a_grpc_status_in_trailers_is_the_verdict_with_its_pushback() {
    let told = Told::default();
    let end = HeaderMap::from_iter(
        [("grpc-status", "14"), ("grpc-retry-pushback-ms", "750")]
            .map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())),
    );
    let frames = vec![data("a"), Ok(Frame::trailers(end))];
    watched(GRPC, frames, &told).collect().await.unwrap();
    let [verdict] = told.verdicts()[..] else { panic!("{told:?}") };
    assert_eq!(verdict.outcome(), Outcome::Failure(Failure::Transient));
    assert!(verdict.hint().is_some());
}

#[tokio::test]
async fn a_grpc_stream_that_ends_without_a_status_broke_off() {
    for frames in [vec![], vec![data("a")], vec![data("a"), trailers("x-sum", "1")]] {
        let told = Told::default();
        watched(GRPC, frames, &told).collect().await.unwrap();
        assert_eq!(told.outcomes(), [Outcome::Failure(Failure::Fault)]);
    }
    let told = Told::default();
    let response = Response::builder().header("content-type", GRPC).body(Empty::<Bytes>::new()).unwrap();
    let _body = watch(response, &told);
    assert_eq!(told.outcomes(), [Outcome::Failure(Failure::Fault)], "nothing comes after an empty body");
}

/// A caller that panics with a good response in its hands says nothing about the server. (The body's own panic is a fault: see
/// `watch`.)
#[test]
fn a_panic_of_its_reader_is_no_failure_of_the_server() {
    let told = Told::default();
    let body = watched(PLAIN, vec![data("a")], &told);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _body = body;
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(told.outcomes(), [Outcome::Success]);
}

#[tokio::test]
async fn a_watched_body_is_as_long_as_it_was() {
    let told = Told::default();
    let body = watch(Response::new(Full::<Bytes>::from("four")), &told);
    assert_eq!(body.size_hint().exact(), Some(4));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "four");
}

// ---- whole bodies of every type that can be sent again ----

async fn whole<B: FromReplay>() -> (Bytes, bool) {
    let end = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
    let body = B::from_whole(Bytes::from_static(b"abc"), Some(end));
    let Ok(whole) = body.collect().await else { panic!("it broke") };
    let kept = whole.trailers().is_some();
    (whole.to_bytes(), kept)
}

#[tokio::test]
async fn a_whole_body_becomes_any_body_with_its_trailers() {
    use http_body_util::combinators::{BoxBody, UnsyncBoxBody};
    let expected = (Bytes::from_static(b"abc"), true);
    assert_eq!(whole::<axum::body::Body>().await, expected);
    assert_eq!(whole::<tonic::body::Body>().await, expected);
    assert_eq!(whole::<reqwest::Body>().await, expected);
    assert_eq!(whole::<BoxBody<Bytes, io::Error>>().await, expected);
    assert_eq!(whole::<UnsyncBoxBody<Bytes, Infallible>>().await, expected);
    // `Full` has none by its nature
    assert_eq!(whole::<Full<Bytes>>().await, (Bytes::from_static(b"abc"), false));
}

#[test]
fn a_whole_body_says_how_long_it_is() {
    let sizes = |body: &dyn Body<Data = Bytes, Error = Infallible>| body.size_hint().exact();
    assert_eq!(sizes(&Full::from_whole(Bytes::from_static(b"abc"), None)), Some(3));
    assert_eq!(axum::body::Body::from_whole(Bytes::from_static(b"abc"), None).size_hint().exact(), Some(3));
    assert_eq!(reqwest::Body::from_whole(Bytes::from_static(b"abc"), None).size_hint().exact(), Some(3));
    let empty = axum::body::Body::from_whole(Bytes::new(), None);
    assert!(empty.is_end_stream() && empty.size_hint().exact() == Some(0));
}

//! What a response comes to whose body is read, dropped, or never polled.

use crate::told::Told;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use steadfast::{
    body::Watch,
    classify::{Classify, Failure, Http, Outcome, Repeatable, Verdict},
};
use tokio::time::advance;

/// One poll of a body.
enum Step {
    Pending,
    Frame(Frame<Bytes>),
    Breaks,
    Panics,
}

/// A body that does one step at each poll, and does not say when it is at its end.
struct Script(VecDeque<Step>);

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.0.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Pending) => Poll::Pending,
            Some(Step::Frame(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(Step::Breaks) => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
            Some(Step::Panics) => panic!("on purpose"),
        }
    }
}

fn data(bytes: impl AsRef<[u8]>) -> Step {
    Step::Frame(Frame::data(Bytes::copy_from_slice(bytes.as_ref())))
}

fn status(code: &str) -> Step {
    Step::Frame(Frame::trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), code.parse().unwrap())])))
}

/// A frame of gRPC, or of gRPC-Web.
fn message(flags: u8, payload: &str) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[flags], &length[..], payload.as_bytes()].concat()
}

fn watch<B: Body<Data = Bytes>>(told: &Told, headers: &[(&'static str, &str)], body: B) -> Watch<B> {
    let mut response = Response::new(body);
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    let http = Http::new();
    let head: Verdict = Classify::<Request<()>, Response<B>, Infallible>::head(&http, &response, Repeatable::No);
    Classify::<Request<()>, Response<B>, Infallible>::watch(&http, response, head, told.recorder()).into_body()
}

fn poll<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// The outcomes after these steps, each of them polled, and a drop.
fn dropped_after(headers: &[(&'static str, &str)], steps: Vec<Step>) -> Vec<Outcome> {
    let told = Told::default();
    let polls = steps.len();
    let mut body = watch(&told, headers, Script(steps.into()));
    for _ in 0..polls {
        let _ = poll(&mut body);
    }
    drop(body);
    told.outcomes()
}

const PLAIN: &[(&str, &str)] = &[("content-type", "application/json")];
const EVENTS: &[(&str, &str)] = &[("content-type", "Text/Event-Stream; charset=utf-8")];
const GRPC: &[(&str, &str)] = &[("content-type", "application/grpc+proto")];
const WEB: &[(&str, &str)] = &[("content-type", "application/grpc-web+proto")];
const TEXT: &[(&str, &str)] = &[("content-type", "application/grpc-web-text")];
const SUCCESS: [Outcome; 1] = [Outcome::Success];
const NEUTRAL: [Outcome; 1] = [Outcome::Ignored];

#[test]
fn a_body_that_is_dropped_unawaited_is_what_its_head_was() {
    for headers in [PLAIN, EVENTS] {
        assert_eq!(dropped_after(headers, vec![]), SUCCESS, "never polled");
        assert_eq!(dropped_after(headers, vec![data("a")]), SUCCESS, "between two frames");
        assert_eq!(dropped_after(headers, vec![Step::Pending, data("a")]), SUCCESS);
    }
}

#[test]
fn a_body_that_is_dropped_while_it_is_awaited_is_neutral() {
    for headers in [PLAIN, EVENTS, GRPC, WEB, TEXT] {
        assert_eq!(dropped_after(headers, vec![Step::Pending]), NEUTRAL);
        assert_eq!(dropped_after(headers, vec![data("a"), Step::Pending]), NEUTRAL);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_dropped_after_it_was_awaited_for_as_long_as_a_slow_call_failed() {
    let cases = |pending: Duration| async move {
        let mut outcomes = Vec::new();
        let whole = || data(message(0, "hello"));
        for (headers, first) in [
            (PLAIN, None),
            (PLAIN, Some(data("a"))),
            (GRPC, None),
            (GRPC, Some(data(&message(0, "hello")[..7]))),
            (WEB, None),
            (EVENTS, None),
            (GRPC, Some(whole())),
            (WEB, Some(whole())),
        ] {
            let told = Told::slow_from(Duration::from_secs(5));
            let mut body =
                watch(&told, headers, Script(first.into_iter().chain([Step::Pending, Step::Pending]).collect()));
            while poll(&mut body).is_ready() {}
            advance(pending / 2).await;
            // polled again for no reason: it is still the same wait
            assert!(poll(&mut body).is_pending());
            advance(pending / 2).await;
            drop(body);
            outcomes.push(told.outcomes());
        }
        outcomes
    };
    let failed = vec![Outcome::Failure(Failure::Timeout)];
    let neutral = NEUTRAL.to_vec();
    let expected: Vec<_> = [vec![failed; 5], vec![neutral.clone(); 3]].concat();
    assert_eq!(cases(Duration::from_secs(5)).await, expected);
    assert_eq!(cases(Duration::from_millis(4999)).await, vec![neutral; 8]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_its_time_between_two_frames_is_no_slow_server() {
    let told = Told::slow_from(Duration::from_secs(5));
    let mut body = watch(&told, PLAIN, Script(vec![Step::Pending, data("a"), data("b")].into()));
    assert!(poll(&mut body).is_pending());
    advance(Duration::from_secs(4)).await;
    assert!(poll(&mut body).is_ready());
    advance(Duration::from_secs(3600)).await;
    drop(body);
    assert_eq!(told.outcomes(), SUCCESS);
}

#[test]
fn the_last_byte_of_a_known_length_is_the_end() {
    let told = Told::default();
    let mut body = watch(&told, &[("content-length", "5")], Script(vec![data("abc"), data("de")].into()));
    assert!(poll(&mut body).is_ready());
    assert_eq!(told.outcomes(), []);
    assert!(poll(&mut body).is_ready());
    assert_eq!(told.outcomes(), SUCCESS, "nothing polls it to its end");
    // and nothing changes it afterwards
    assert!(poll(&mut body).is_ready());
    drop(body);
    assert_eq!(told.outcomes(), SUCCESS);
}

#[test]
fn a_length_of_nothing_is_the_end_already() {
    let told = Told::default();
    let _body = watch(&told, &[("content-length", "0")], Script([Step::Pending].into()));
    assert_eq!(told.outcomes(), SUCCESS);
    // a length that cannot be read is none
    assert_eq!(dropped_after(&[("content-length", "5, 5")], vec![Step::Pending]), NEUTRAL);
}

#[test]
fn a_body_that_breaks_before_its_last_byte_is_a_failure_and_after_it_is_not() {
    let length = &[("content-length", "2")];
    assert_eq!(dropped_after(length, vec![data("a"), Step::Breaks]), [Outcome::Failure(Failure::Transient)]);
    assert_eq!(dropped_after(length, vec![data("ab"), Step::Breaks]), SUCCESS);
}

#[test]
fn the_length_of_a_grpc_body_ends_nothing() {
    let headers = [("content-type", "application/grpc"), ("content-length", "10")];
    let steps = vec![data(message(0, "hello")), status("14")];
    assert_eq!(dropped_after(&headers, steps), [Outcome::Failure(Failure::Transient)]);
}

#[test]
fn a_grpc_stream_that_is_dropped_is_a_success_once_a_message_has_arrived() {
    let whole = message(0, "hello");
    assert_eq!(dropped_after(GRPC, vec![]), NEUTRAL);
    assert_eq!(dropped_after(GRPC, vec![data(&whole[..3])]), NEUTRAL);
    assert_eq!(dropped_after(GRPC, vec![data(&whole[..9])]), NEUTRAL);
    assert_eq!(dropped_after(GRPC, vec![data(&whole[..9]), data(&whole[9..])]), SUCCESS);
    assert_eq!(dropped_after(GRPC, vec![data(&whole)]), SUCCESS);
    assert_eq!(dropped_after(GRPC, vec![data(message(0, ""))]), SUCCESS, "an empty message is one");
    assert_eq!(dropped_after(GRPC, vec![data(&whole), status("13")]), [Outcome::Failure(Failure::Fault)]);
}

#[test]
fn a_grpc_web_status_is_read_from_its_frame_in_both_encodings() {
    // "grpc-status:14\r\n" and "grpc-status:0\r\n" behind a message, each frame padded by itself
    let binary = |code: &str| [message(0, "hi"), message(0x80, &format!("grpc-status:{code}\r\n"))].concat();
    let unavailable = [Outcome::Failure(Failure::Transient)];
    assert_eq!(dropped_after(WEB, vec![data(binary("0"))]), SUCCESS);
    assert_eq!(dropped_after(WEB, vec![data(binary("14"))]), unavailable);
    let text = |status: &str| format!("AAAAAAJoaQ=={status}");
    assert_eq!(dropped_after(TEXT, vec![data(text("gAAAABBncnBjLXN0YXR1czoxNA0K"))]), unavailable);
    assert_eq!(dropped_after(TEXT, vec![data(text("gAAAAA9ncnBjLXN0YXR1czowDQo="))]), SUCCESS);
    // byte by byte
    let pieces = |bytes: Vec<u8>| bytes.into_iter().map(|byte| data([byte])).collect();
    assert_eq!(dropped_after(WEB, pieces(binary("14"))), unavailable);
    assert_eq!(dropped_after(TEXT, pieces(text("gAAAABBncnBjLXN0YXR1czoxNA0K").into())), unavailable);
}

#[test]
fn a_grpc_web_response_without_a_status_is_judged_by_its_head() {
    for headers in [WEB, TEXT] {
        assert_eq!(dropped_after(headers, vec![]), SUCCESS, "never polled");
        assert_eq!(dropped_after(headers, vec![data("AAAA")]), SUCCESS);
        let told = Told::default();
        let _body = watch(&told, headers, Empty::new());
        assert_eq!(told.outcomes(), SUCCESS);
    }
    let told = Told::default();
    let mut body = watch(&told, WEB, Script([data(message(0, "hi"))].into()));
    while !matches!(poll(&mut body), Poll::Ready(None)) {}
    assert_eq!(told.outcomes(), SUCCESS);
}

#[test]
fn a_grpc_web_status_in_the_head_or_in_trailers_counts_too() {
    let in_head = [("content-type", "application/grpc-web+proto"), ("grpc-status", "14")];
    assert_eq!(dropped_after(&in_head, vec![]), [Outcome::Failure(Failure::Transient)]);
    // tonic-web's client turns the frame into trailers
    let steps = vec![data(message(0, "hi")), status("14")];
    assert_eq!(dropped_after(WEB, steps), [Outcome::Failure(Failure::Transient)]);
}

#[test]
fn only_the_media_types_of_grpc_are_grpc() {
    let broke_off = [Outcome::Failure(Failure::Fault)];
    let whole = |media_type: &str| {
        let told = Told::default();
        let _body = watch(&told, &[("content-type", media_type)], Empty::new());
        told.outcomes()
    };
    for media_type in ["application/grpc", "application/grpc+proto", "application/grpc;a=b", "Application/gRPC+JSON"] {
        assert_eq!(whole(media_type), broke_off, "{media_type}");
    }
    for media_type in ["application/grpc-web", "application/grpc-web-text+proto", "application/grpcx", "text/plain"] {
        assert_eq!(whole(media_type), SUCCESS, "{media_type}");
    }
}

#[test]
fn a_probe_is_settled_by_a_good_head_and_grpc_by_its_first_message() {
    let told = Told::settled_early();
    let _body = watch(&told, PLAIN, Script([Step::Pending].into()));
    assert_eq!(told.outcomes(), SUCCESS);
    for headers in [GRPC, WEB] {
        let told = Told::settled_early();
        let mut body = watch(&told, headers, Script([data(message(0, "hi")), Step::Breaks].into()));
        assert_eq!(told.outcomes(), []);
        assert!(poll(&mut body).is_ready());
        assert_eq!(told.outcomes(), SUCCESS);
        assert!(poll(&mut body).is_ready());
        drop(body);
        assert_eq!(told.outcomes(), SUCCESS, "once");
    }
    let told = Told::settled_early();
    let mut body = watch(&told, GRPC, Script([status("14")].into()));
    assert!(poll(&mut body).is_ready());
    assert_eq!(told.outcomes(), [Outcome::Failure(Failure::Transient)]);
}

#[test]
fn a_body_that_panics_is_a_fault() {
    let told = Told::default();
    let mut body = watch(&told, PLAIN, Script([Step::Panics].into()));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(poll(&mut body)))).is_err());
    drop(body);
    assert_eq!(told.outcomes(), [Outcome::Failure(Failure::Fault)]);
}

#[tokio::test]
async fn what_is_watched_passes_unchanged() {
    let told = Told::default();
    let body = watch(&told, TEXT, Full::from("AAAAAAJoaQ=="));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "AAAAAAJoaQ==");
    assert_eq!(told.outcomes(), SUCCESS);
}

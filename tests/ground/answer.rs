//! How a layer says no by itself, where it answers instead of failing.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use std::{convert::Infallible, time::Duration};
use steadfast::{
    answer::{Answer, Cause, Fail, Respond},
    body::OrBody,
    classify::{Classify, Http, Outcome, Repeatable},
    error::{BoxError, Refused},
    timeout::{Elapsed, Limit},
};

type Made = Response<OrBody<Full<Bytes>>>;

fn respond(grpc: bool, cause: Cause) -> Made {
    let headers: &[_] = if grpc { &[("content-type", "application/grpc")] } else { &[] };
    respond_to(headers, cause)
}

fn respond_to(headers: &[(&'static str, &'static str)], cause: Cause) -> Made {
    let mut request = Request::new(());
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let seen = <Respond as Answer<Request<()>, Response<Full<Bytes>>, Infallible>>::see(&request);
    let answer: Result<Made, Infallible> =
        <Respond as Answer<Request<()>, Response<Full<Bytes>>, Infallible>>::answer(&seen, cause);
    answer.unwrap()
}

fn refused(after: Option<Duration>) -> Refused {
    let refused = Refused::new("payments", "circuit open");
    after.map_or(refused.clone(), |after| refused.with_retry_after(after))
}

#[tokio::test]
async fn a_refusal_is_a_503_problem_and_carries_itself() {
    let answer = respond(false, Cause::Refused(refused(Some(Duration::from_secs(3)))));
    assert_eq!(
        (answer.status(), &answer.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"3".parse().unwrap())
    );
    assert_eq!(answer.extensions().get::<Refused>().map(Refused::who), Some("payments"));
    // a layer above sees a refusal, not a 503 of the other side
    let head = Classify::<Request<()>, _, Infallible>::head(&Http::new(), &answer, Repeatable::Yes);
    assert_eq!(head.outcome(), Outcome::Refused);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["detail"], "refused by payments: circuit open");
}

#[test]
fn retry_after_is_in_whole_seconds_and_never_early() {
    let header = |after| respond(false, Cause::Refused(refused(after))).headers().get("retry-after").cloned();
    assert_eq!(header(None), None);
    for (after, seconds) in [
        (Duration::ZERO, "1"),
        (Duration::from_nanos(1), "1"),
        (Duration::from_secs(2), "2"),
        (Duration::from_millis(2001), "3"),
        (Duration::MAX, "18446744073709551615"),
    ] {
        assert_eq!(header(Some(after)).unwrap(), seconds, "{after:?}");
    }
}

#[test]
fn to_grpc_it_is_a_status_in_the_head() {
    for (cause, code) in [(Cause::Refused(refused(None)), "14"), (Cause::Elapsed(Elapsed::new(Limit::Total, 0)), "4")] {
        let answer = respond(true, cause);
        assert_eq!((answer.status(), &answer.headers()["grpc-status"]), (StatusCode::OK, &code.parse().unwrap()));
        assert!(http_body::Body::is_end_stream(answer.body()), "trailers only");
    }
}

#[test]
fn to_grpc_web_it_is_a_status_in_the_head_in_the_format_that_the_client_reads() {
    let (binary, text) = ("application/grpc-web+proto", "application/grpc-web-text+proto");
    for (content_type, accept, expected) in [
        ("application/grpc-web", None, binary),
        ("application/grpc-web+proto", Some("*/*"), binary),
        ("application/grpc-web-text", None, text),
        ("application/grpc-web-text+proto", Some("application/grpc-web-text"), text),
        ("application/grpc-web", Some("application/grpc-web-text+proto"), text),
        ("application/grpc-web-text", Some("application/grpc-web"), binary),
    ] {
        for (cause, code) in
            [(Cause::Refused(refused(None)), "14"), (Cause::Elapsed(Elapsed::new(Limit::Total, 0)), "4")]
        {
            let accept = accept.map(|accept| ("accept", accept));
            let headers: Vec<_> = [("content-type", content_type)].into_iter().chain(accept).collect();
            let answer = respond_to(&headers, cause);
            assert_eq!(answer.status(), 200);
            assert_eq!(
                (&answer.headers()["content-type"], &answer.headers()["grpc-status"]),
                (&expected.parse().unwrap(), &code.parse().unwrap())
            );
            assert!(http_body::Body::is_end_stream(answer.body()));
        }
    }
}

/// A name is the user's: it may hold anything.
#[tokio::test]
async fn any_name_is_quoted_for_json_and_encoded_for_grpc() {
    let name = "a \"b\"\\\n\u{1}\u{7f}ü🦀 100%";
    let answer = respond(false, Cause::Refused(Refused::new(name, "full")));
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["detail"], format!("refused by {name}: full"));
    let answer = respond(true, Cause::Refused(Refused::new(name, "full")));
    let status = tonic::Status::from_header_map(answer.headers()).unwrap();
    assert_eq!(status.message(), format!("refused by {name}: full"));
}

#[test]
fn a_client_gets_the_cause_as_an_error() {
    let error = <Fail as Answer<(), (), BoxError>>::answer(&(), Cause::Refused(refused(None))).unwrap_err();
    assert!(error.is::<Refused>());
    let error =
        <Fail as Answer<(), (), BoxError>>::answer(&(), Cause::Elapsed(Elapsed::new(Limit::Total, 0))).unwrap_err();
    assert!(error.is::<Elapsed>());
}

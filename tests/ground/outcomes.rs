//! Every row of the tables for HTTP and gRPC, and every number between.

use crate::{
    table::{assert_is, outcome, rows},
    told::Told,
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use std::{collections::BTreeMap, convert::Infallible};
use steadfast::{
    classify::{Classify, Failure, Http, Outcome, Repeatable, Verdict, of_grpc_code, of_status},
    error::Refused,
};

type Answer = Response<Full<Bytes>>;

fn head(response: &Answer, repeatable: Repeatable) -> Verdict {
    Classify::<Request<()>, Answer, Infallible>::head(&Http::new(), response, repeatable)
}

fn repeatable(http: &Http, request: &Request<()>) -> Repeatable {
    Classify::<Request<()>, Answer, Infallible>::repeatable(http, request)
}

fn answer(status: u16, headers: &[(&'static str, &str)]) -> Answer {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().append(*name, value.parse().unwrap());
    }
    response
}

const ALL: [Repeatable; 3] = [Repeatable::No, Repeatable::Yes, Repeatable::Keyed];

#[test]
fn every_status_is_what_the_table_says() {
    let mut expected: BTreeMap<u16, (Outcome, &str)> = BTreeMap::new();
    let (ranges, single): (Vec<_>, Vec<_>) = rows("HTTP status").into_iter().partition(|row| row[0].contains('-'));
    for row in &ranges {
        if let Some((from, to)) = row[0].split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?))) {
            expected.extend((from..=to).map(|status: u16| (status, (outcome(row[1]), row[2]))));
        }
    }
    for row in &single {
        if let Ok(status) = row[0].parse() {
            expected.insert(status, (outcome(row[1]), row[2]));
        }
    }
    assert_eq!(expected.keys().copied().collect::<Vec<_>>(), (100..=599).collect::<Vec<_>>());
    for (status, (outcome, besides)) in expected {
        let what = format!("status {status}");
        assert_is(of_status(StatusCode::from_u16(status).unwrap()), outcome, besides, &what);
        for repeatable in ALL {
            assert_is(head(&answer(status, &[]), repeatable), outcome, besides, &what);
        }
    }
}

#[test]
fn every_row_with_a_condition_is_what_the_table_says() {
    let hints: [&[(&str, &str)]; 4] = [
        &[("retry-after", "5")],
        &[("ratelimit", "\"default\";r=0;t=5")],
        &[("ratelimit-remaining", "0"), ("ratelimit-reset", "5")],
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "5")],
    ];
    let mut checked = 0;
    for row in rows("HTTP status") {
        let Some((status, condition)) = row[0].split_once(' ') else { continue };
        let (status, expected) = (status.parse().unwrap(), outcome(row[1]));
        checked += 1;
        match condition {
            "with a hint" => {
                for (headers, repeatable) in hints.iter().flat_map(|h| ALL.map(|r| (h, r))) {
                    let verdict = head(&answer(status, headers), repeatable);
                    assert_is(verdict, expected, row[2], row[0]);
                    assert!(verdict.hint().is_some(), "{}", row[0]);
                }
            }
            "with `Retry-After`, to a keyed call" => {
                let headers = [("retry-after", "5")];
                assert_is(head(&answer(status, &headers), Repeatable::Keyed), expected, row[2], row[0]);
                for other in [Repeatable::No, Repeatable::Yes] {
                    assert_eq!(head(&answer(status, &headers), other).outcome(), Outcome::Rejected);
                }
            }
            other => panic!("nobody checks the condition {other:?}"),
        }
    }
    assert_eq!(checked, 4);
}

#[test]
fn only_a_failure_carries_a_hint() {
    for status in 100..=599 {
        let verdict = head(&answer(status, &[("retry-after", "5")]), Repeatable::Yes);
        let failed = matches!(verdict.outcome(), Outcome::Failure(_));
        assert_eq!(verdict.hint().is_some(), failed, "{status}");
    }
}

#[test]
fn every_grpc_code_is_what_the_table_says_in_the_head() {
    let rows = rows("gRPC status");
    assert_eq!(rows.iter().map(|row| row[0].parse().unwrap()).collect::<Vec<i32>>(), (0..=16).collect::<Vec<_>>());
    for row in rows {
        let code: i32 = row[0].parse().unwrap();
        let camel = format!("{:?}", tonic::Code::from(code));
        assert_eq!(row[1].trim_matches('`').replace('_', "").to_lowercase(), camel.to_lowercase());
        assert_is(of_grpc_code(code), outcome(row[2]), row[3], row[1]);
        let trailers_only = answer(200, &[("content-type", "application/grpc"), ("grpc-status", row[0])]);
        assert_is(head(&trailers_only, Repeatable::No), outcome(row[2]), row[3], row[1]);
    }
}

#[tokio::test]
async fn every_grpc_code_is_what_the_table_says_in_the_trailers() {
    for row in rows("gRPC status") {
        let told = Told::default();
        let trailers = http::HeaderMap::from_iter([("grpc-status".parse().unwrap(), row[0].parse().unwrap())]);
        let body = Full::new(Bytes::from_static(b"frame")).with_trailers(async move { Some(Ok(trailers)) });
        let response = Response::builder().header("content-type", "application/grpc+proto").body(body).unwrap();
        let verdict = Classify::<Request<()>, _, Infallible>::head(&Http::new(), &response, Repeatable::No);
        assert_eq!(verdict.outcome(), Outcome::Success, "the head says 200");
        let watched = Classify::<Request<()>, _, Infallible>::watch(&Http::new(), response, verdict, told.recorder());
        assert!(told.verdicts().is_empty());
        watched.into_body().collect().await.unwrap();
        let [verdict] = told.verdicts()[..] else { panic!("{:?}", told.verdicts()) };
        assert_is(verdict, outcome(row[2]), row[3], row[1]);
    }
}

#[test]
fn a_grpc_code_that_is_none_counts_as_unknown() {
    for status in ["17", "-1", "4294967296", "x", ""] {
        let verdict =
            head(&answer(200, &[("content-type", "application/grpc"), ("grpc-status", status)]), Repeatable::No);
        assert_eq!(verdict.outcome(), Outcome::Failure(Failure::Fault), "{status:?}");
    }
}

#[test]
fn a_refusal_of_this_side_is_not_taken_for_a_503_of_the_other() {
    let mut response = answer(503, &[("retry-after", "9")]);
    response.extensions_mut().insert(Refused::new("payments", "circuit open"));
    let verdict = head(&response, Repeatable::Yes);
    assert_eq!((verdict.outcome(), verdict.hint()), (Outcome::Refused, None));
}

#[test]
fn what_is_repeatable_is_what_rfc_9110_calls_idempotent() {
    let asked = |method: &Method| Request::builder().method(method).body(()).unwrap();
    let http = Http::new();
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE] {
        assert_eq!(repeatable(&http, &asked(&method)), Repeatable::Yes, "{method}");
    }
    for method in [Method::POST, Method::PATCH, Method::CONNECT, Method::from_bytes(b"PURGE").unwrap()] {
        assert_eq!(repeatable(&http, &asked(&method)), Repeatable::No, "{method}");
        let mut keyed = asked(&method);
        keyed.headers_mut().insert("idempotency-key", "k".parse().unwrap());
        assert_eq!(repeatable(&http, &keyed), Repeatable::Keyed, "{method}");
        keyed.extensions_mut().insert(Repeatable::No);
        assert_eq!(repeatable(&http, &keyed), Repeatable::No, "its owner has the last word");
    }
    let mut upgrade = asked(&Method::GET);
    upgrade.headers_mut().insert("upgrade", "websocket".parse().unwrap());
    assert_eq!(repeatable(&http, &upgrade), Repeatable::No);
}

#[test]
fn a_grpc_method_is_repeatable_where_it_is_named() {
    let http = Http::new().with_repeatable_grpc(["/pay.Payments/Get"]);
    let asked = |path: &str| Request::post(format!("http://x{path}")).body(()).unwrap();
    assert_eq!(repeatable(&http, &asked("/pay.Payments/Get")), Repeatable::Yes);
    assert_eq!(repeatable(&http, &asked("/pay.Payments/GetAll")), Repeatable::No);
}

#[test]
fn the_origin_is_scheme_host_and_port_without_credentials() {
    let of = |uri: &str| {
        let request = Request::builder().uri(uri).body(()).unwrap();
        let origin = Classify::<Request<()>, Answer, Infallible>::origin(&Http::new(), &request);
        origin.map(|origin| origin.to_string())
    };
    assert_eq!(of("http://user:pa%40ss@api.example:8080/x").as_deref(), Some("http://api.example:8080"));
    assert_eq!(of("http://api.example/x").as_deref(), Some("http://api.example"));
    assert_eq!(of("/x"), None);
}

use super::{Problem, escape};
use http::StatusCode;
use std::time::Duration;

fn escaped(text: &str) -> String {
    let mut out = String::new();
    escape(&mut out, text);
    out
}

#[test]
fn quotes_backslashes_and_controls_are_escaped_and_nothing_else() {
    assert_eq!(escaped("plain, \u{e4}\u{1f600}\u{7f}/"), "plain, \u{e4}\u{1f600}\u{7f}/");
    assert_eq!(escaped("\"a\\b\"\""), "\\\"a\\\\b\\\"\\\"");
    assert_eq!(escaped("\n\u{1f}x\u{0}"), "\\u000a\\u001fx\\u0000");
    assert_eq!(escaped(""), "");
}

#[test]
fn the_document_is_as_long_as_its_buffer_where_nothing_is_escaped() {
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "refused").with_detail("refused by x: circuit open");
    let response = problem.with_retry_after(Duration::from_millis(1)).into_response(None);
    let json = "{\"title\":\"refused\",\"status\":503,\"detail\":\"refused by x: circuit open\"}";
    assert_eq!(response.headers()["retry-after"], "1");
    let body = response.into_body();
    assert_eq!(body, json);
    // what was not full would have been shared behind a counter, and no vector comes back out of that without a copy
    assert_eq!(Vec::from(body).capacity(), json.len());
}

#[test]
fn a_title_alone_and_what_has_to_be_escaped_are_whole_documents() {
    let body = |problem: Problem| problem.into_response(None).into_body();
    assert_eq!(body(Problem::new(StatusCode::BAD_REQUEST, "no")), "{\"title\":\"no\",\"status\":400}");
    let problem = Problem::new(StatusCode::BAD_REQUEST, "\"").with_detail("\n");
    assert_eq!(body(problem), "{\"title\":\"\\\"\",\"status\":400,\"detail\":\"\\u000a\"}");
}

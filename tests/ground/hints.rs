//! The table of hints: when to come again, as servers say it.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use std::{
    convert::Infallible,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use steadfast::{
    backoff::Hint,
    classify::{Classify, Failure, Http, Outcome, Repeatable, Verdict},
    testing::TestClock,
};

/// Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(784_111_777)
}

fn judged(status: StatusCode, headers: &[(&'static str, &str)]) -> Verdict {
    let mut response = Response::new(Full::<Bytes>::default());
    *response.status_mut() = status;
    for (name, value) in headers {
        response.headers_mut().append(*name, value.parse().unwrap());
    }
    let http = Http::new().with_clock(TestClock::at(now()));
    Classify::<Request<()>, _, Infallible>::head(&http, &response, Repeatable::Yes)
}

/// The hint of a 429.
fn hint(headers: &[(&'static str, &str)]) -> Option<Hint> {
    let verdict = judged(StatusCode::TOO_MANY_REQUESTS, headers);
    assert_eq!(verdict.outcome(), Outcome::Failure(Failure::Overloaded));
    verdict.hint()
}

#[allow(clippy::unnecessary_wraps, reason = "what a hint is compared with")]
fn seconds(seconds: u64) -> Option<Hint> {
    Some(Hint::AtLeast(Duration::from_secs(seconds)))
}

#[test]
fn retry_after_in_seconds_is_a_floor() {
    assert_eq!(hint(&[("retry-after", "2")]), seconds(2));
    assert_eq!(hint(&[("retry-after", " 120 ")]), seconds(120));
    // more than fits is as much as fits
    assert_eq!(hint(&[("retry-after", "99999999999999999999999")]), seconds(u64::MAX));
}

#[test]
fn retry_after_as_a_date_counts_from_the_answers_own_date() {
    let at = ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT");
    assert_eq!(hint(&[at]), seconds(30));
    // the server's clock is ten seconds behind ours: what counts is its own distance
    assert_eq!(hint(&[at, ("date", "Sun, 06 Nov 1994 08:49:27 GMT")]), seconds(40));
    assert_eq!(hint(&[at, ("date", "yesterday")]), seconds(30));
    // the two older forms that RFC 9110, 5.6.7 has a recipient accept
    assert_eq!(hint(&[("retry-after", "Sunday, 06-Nov-94 08:50:07 GMT")]), seconds(30));
    assert_eq!(hint(&[("retry-after", "Sun Nov  6 08:50:07 1994")]), seconds(30));
}

#[test]
fn zero_the_past_and_garbage_are_no_hint() {
    for value in [
        "0",
        "00",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:36 GMT",
        "-5",
        "+5",
        "1.5",
        "5s",
        "soon",
        "",
    ] {
        assert_eq!(hint(&[("retry-after", value)]), None, "{value:?}");
    }
    // and a 503 with none of them is no overload
    let verdict = judged(StatusCode::SERVICE_UNAVAILABLE, &[("retry-after", "0")]);
    assert_eq!((verdict.outcome(), verdict.hint()), (Outcome::Failure(Failure::Transient), None));
}

#[test]
fn a_used_up_rate_limit_says_when_it_is_renewed() {
    let limit = |value: &str| hint(&[("ratelimit", value)]);
    assert_eq!(limit("\"default\";r=0;t=30"), seconds(30));
    assert_eq!(limit("\"default\"; t=30; r=0"), seconds(30));
    // of several policies only those that are used up count, and of those the longest
    assert_eq!(limit("\"a\";r=0;t=5, \"b\";r=0;t=60, \"c\";r=7;t=3600"), seconds(60));
    for value in ["\"default\";r=1;t=30", "\"default\";r=0", "\"default\";t=30", "\"default\";r=0;t=0", "r=0;t=30", ""]
    {
        assert_eq!(limit(value), None, "{value:?}");
    }
}

#[test]
fn the_older_reset_header_is_seconds_or_a_moment() {
    let reset =
        |remaining: &str, reset: &str| hint(&[("x-ratelimit-remaining", remaining), ("x-ratelimit-reset", reset)]);
    assert_eq!(reset("0", "45"), seconds(45));
    // GitHub: seconds since 1970; a clock at 2001-09-09 or later tells the two apart
    assert_eq!(reset("0", "1700000060"), seconds(1_700_000_060 - 784_111_777));
    for (remaining, at) in [("1", "45"), ("0", "0"), ("0", "x"), ("x", "45")] {
        assert_eq!(reset(remaining, at), None, "{remaining} {at}");
    }
    assert_eq!(hint(&[("x-ratelimit-reset", "45")]), None, "nothing says that it is used up");
}

#[test]
fn a_reset_in_milliseconds_since_1970_is_recognised_by_its_size() {
    let reset = |reset: &str| hint(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset)]);
    assert_eq!(reset("784111837000"), seconds(60));
    assert_eq!(reset("1700000060000"), seconds(1_700_000_060 - 784_111_777));
    assert_eq!(reset("999999999"), seconds(999_999_999));
    // the past, in each of the units
    assert_eq!(reset("784111776000"), None);
    assert_eq!(reset("99999999999999999999999"), reset("18446744073709551615"));
    assert_eq!((reset("12.2"), reset("12.0"), reset("12."), reset("1.2.3")), (seconds(13), seconds(12), None, None));
}

#[test]
fn the_fields_of_the_earlier_drafts_and_of_other_spellings_are_read() {
    for (remaining, reset) in [
        ("ratelimit-remaining", "ratelimit-reset"),
        ("x-ratelimit-remaining", "x-ratelimit-reset"),
        ("x-rate-limit-remaining", "x-rate-limit-reset"),
    ] {
        assert_eq!(hint(&[(remaining, "0"), (reset, "45")]), seconds(45));
        assert_eq!(hint(&[(remaining, "0;w=60"), (reset, "45")]), seconds(45));
        assert_eq!(hint(&[(remaining, "-1"), (reset, "45")]), seconds(45));
        assert_eq!(hint(&[(remaining, "1"), (reset, "45")]), None);
        // several quotas, in one line or in several
        assert_eq!(hint(&[(remaining, "7, 0, 0"), (reset, "600, 30, 45")]), seconds(45));
        assert_eq!(hint(&[(remaining, "7"), (remaining, "0"), (reset, "600"), (reset, "30")]), seconds(30));
        assert_eq!(hint(&[(remaining, "7, 0"), (reset, "30")]), seconds(30));
        assert_eq!(hint(&[(reset, "30")]), None);
        assert_eq!(hint(&[(remaining, "0")]), None);
    }
}

#[test]
fn a_rate_limit_is_read_over_several_lines_and_with_quoted_names() {
    assert_eq!(hint(&[("ratelimit", "\"a\";r=9;t=5"), ("ratelimit", "\"b\";r=0;t=60")]), seconds(60));
    assert_eq!(hint(&[("ratelimit", "\"a, b;r=1;\\\"c\";r=0;t=60, \"d\";r=1;t=90")]), seconds(60));
    assert_eq!(hint(&[("ratelimit", "limit=100, remaining=0, reset=50")]), seconds(50));
}

#[test]
fn a_403_and_a_413_with_a_hint_are_overloads_and_without_one_rejections() {
    for status in [StatusCode::FORBIDDEN, StatusCode::PAYLOAD_TOO_LARGE] {
        let verdict = judged(status, &[("retry-after", "60")]);
        assert_eq!((verdict.outcome(), verdict.hint()), (Outcome::Failure(Failure::Overloaded), seconds(60)));
        let gone = judged(status, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "60")]);
        assert_eq!((gone.outcome(), gone.hint()), (Outcome::Failure(Failure::Overloaded), seconds(60)));
        for none in [&[][..], &[("retry-after", "0")], &[("x-ratelimit-remaining", "7"), ("x-ratelimit-reset", "60")]] {
            assert_eq!(judged(status, none).outcome(), Outcome::Rejected);
        }
    }
}

#[test]
fn retry_after_goes_before_ratelimit_goes_before_reset() {
    let (after, limit) = (("retry-after", "1"), ("ratelimit", "\"x\";r=0;t=2"));
    let older = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "3")];
    assert_eq!(hint(&[older[0], older[1], limit, after]), seconds(1));
    assert_eq!(hint(&[older[0], older[1], limit]), seconds(2));
    assert_eq!(hint(&older), seconds(3));
    assert_eq!(hint(&[("retry-after", "soon"), limit]), seconds(2), "what cannot be read says nothing");
}

#[test]
fn a_grpc_pushback_is_exact_and_a_negative_or_unreadable_one_means_never() {
    let pushback = |value: &str| {
        let headers = [("content-type", "application/grpc"), ("grpc-status", "14"), ("grpc-retry-pushback-ms", value)];
        judged(StatusCode::OK, &headers).hint()
    };
    assert_eq!(pushback("0"), Some(Hint::Exactly(Duration::ZERO)));
    assert_eq!(pushback("750"), Some(Hint::Exactly(Duration::from_millis(750))));
    for never in ["-1", "x", "", "1.5", "99999999999999999999"] {
        assert_eq!(pushback(never), Some(Hint::Never), "{never:?}");
    }
    let none = judged(StatusCode::OK, &[("content-type", "application/grpc"), ("grpc-status", "14")]);
    assert_eq!(none.hint(), None);
}

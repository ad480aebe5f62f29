use super::{GRPC_TIMEOUT, format, parse};
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use std::time::Duration;

fn parsed(content_type: &'static str, timeout: &str) -> Option<Duration> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(GRPC_TIMEOUT, HeaderValue::from_str(timeout).unwrap());
    parse(&headers)
}

#[test]
fn every_unit_is_read() {
    let cases = [
        ("1H", Duration::from_secs(3600)),
        ("2M", Duration::from_secs(120)),
        ("3S", Duration::from_secs(3)),
        ("600m", Duration::from_millis(600)),
        ("5u", Duration::from_micros(5)),
        ("7n", Duration::from_nanos(7)),
        ("0m", Duration::ZERO),
        ("00000012m", Duration::from_millis(12)),
        ("99999999H", Duration::from_secs(99_999_999 * 3600)),
    ];
    for (text, expected) in cases {
        assert_eq!(parsed("application/grpc", text), Some(expected), "{text}");
        assert_eq!(parsed("application/grpc-web+proto", text), Some(expected), "{text}");
    }
}

#[test]
fn a_value_outside_of_the_grammar_is_no_timeout() {
    for text in ["", "m", "600", "600x", "-1m", "+1m", "1.5S", "123456789n", "1 m", " 1m", "1mm", "1s"] {
        assert_eq!(parsed("application/grpc", text), None, "{text:?}");
    }
}

#[test]
fn a_request_that_is_not_grpc_has_no_grpc_timeout() {
    assert_eq!(parsed("application/json", "600m"), None);
    assert_eq!(parse(&HeaderMap::new()), None);
}

#[test]
fn a_timeout_is_written_in_eight_digits_and_never_longer_than_it_is() {
    let cases = [
        (Duration::ZERO, "0n"),
        (Duration::from_nanos(99_999_999), "99999999n"),
        (Duration::from_nanos(100_000_999), "100000u"),
        (Duration::from_millis(600), "600000u"),
        (Duration::from_secs(30), "30000000u"),
        (Duration::from_secs(100), "100000m"),
        (Duration::from_secs(99_999_999), "99999999S"),
        (Duration::from_secs(100_000_000), "1666666M"),
        (Duration::MAX, "99999999H"),
    ];
    for (left, expected) in cases {
        assert_eq!(format(left), expected);
        let read = parsed("application/grpc", expected).unwrap();
        assert!(read <= left, "{read:?} is more than {left:?}");
    }
}

#![expect(clippy::option_option, reason = "unreadable, absent and present are three things")]

use super::*;

fn there_and_back(headers: Option<&HeaderMap>) -> Option<Option<HeaderMap>> {
    let mut to = BytesMut::new();
    put_headers(&mut to, headers);
    assert_eq!(to.len(), headers_len(headers));
    let mut from = to.freeze();
    let headers = get_headers(&mut from);
    assert!(from.is_empty());
    headers
}

#[test]
fn headers_come_back_as_they_were_secrets_as_secrets() {
    let mut headers = HeaderMap::new();
    let mut secret = HeaderValue::from_static("s3cret");
    secret.set_sensitive(true);
    headers.append("x-token", secret);
    headers.append("x-token", HeaderValue::from_static("public"));
    headers.append("x-bytes", HeaderValue::from_bytes(b"\xff\xfe").unwrap());
    headers.append("x-empty", HeaderValue::from_static(""));
    let back = there_and_back(Some(&headers)).unwrap().unwrap();
    assert_eq!(back, headers);
    let sensitive: Vec<_> = back.get_all("x-token").iter().map(HeaderValue::is_sensitive).collect();
    assert_eq!(sensitive, [true, false]);
}

#[test]
fn no_headers_are_not_an_empty_map() {
    assert_eq!(there_and_back(None), Some(None));
    assert_eq!(there_and_back(Some(&HeaderMap::new())), Some(Some(HeaderMap::new())));
}

#[test]
fn a_length_beyond_the_end_cannot_be_read() {
    let mut to = BytesMut::new();
    to.put_u32(1);
    to.put_u32(9);
    to.put_slice(b"x-short");
    assert_eq!(get_headers(&mut to.freeze()), None);
}

use crate::support::{counting, layer, request, send};
use axum::body::Body;
use http::{HeaderValue, Request, StatusCode};
use proptest::prelude::*;
use steadfast::idempotency::IdempotencyKey;

const MALFORMED: &[&[u8]] = &[
    b"",
    b"\"\"",
    b"\"",
    b"\"unterminated",
    b"\"bad \\x escape\"",
    b"\"ends in a backslash\\",
    b"\"tab\tinside\"",
    b"tab\tinside",
    b"space inside",
    b"one,two",
    b"\"one\", \"two\"",
    b"\"one\"two",
    b"\"k\"; P=1",
    b"\"k\";",
    b"\"k\";p=",
    b"\"k\";p=1.2345",
    b"\"k\";p=1234567890123456",
    b"\"k\";p=:not base64!:",
    b"\"k\";p=?2",
    b"\"k\";p=%\"%ff\"",
    b"\"k\" ;p=1",
    b"bare;p=1",
    b"back\\slash",
    b"quo\"te",
    "schl\u{fc}ssel".as_bytes(),
    b"\"caf\xc3\xa9\"",
    b"not utf-8 \xff",
];

#[tokio::test]
async fn every_malformed_form_is_refused_before_any_look_up() {
    let (app, runs) = counting(layer());
    let too_long = [b"x".repeat(256), [&b"\""[..], &b"x".repeat(256), b"\""].concat()];
    for form in MALFORMED.iter().copied().chain(too_long.iter().map(Vec::as_slice)) {
        let mut request = request("placeholder", "");
        request.headers_mut().insert(IdempotencyKey::HEADER, HeaderValue::from_bytes(form).unwrap());
        let seen = send(&app, request).await;
        let shown = form.escape_ascii();
        assert_eq!((seen.status, &*seen.title()), (StatusCode::BAD_REQUEST, "malformed idempotency key"), "{shown}");
        assert!(seen.headers["link"].to_str().unwrap().ends_with("rel=\"describedby\""), "{shown}");
        assert!(!seen.headers.contains_key("retry-after"), "{shown}");
    }
    assert_eq!(runs.get(), 0);
}

#[tokio::test]
async fn a_repeated_header_is_refused() {
    let (app, runs) = counting(layer());
    let twice = Request::post("/").header("idempotency-key", "k").header("idempotency-key", "k").body(Body::empty());
    assert_eq!(send(&app, twice.unwrap()).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(runs.get(), 0);
}

#[tokio::test]
async fn quoted_bare_and_with_parameters_are_one_key() {
    let (app, runs) = counting(layer());
    let forms =
        ["\"k\"", "k", " k ", "\"k\";p", "\"k\";p=1;q=\"x;\\\"y\";*r=tok/en;s=:aGk=:;t=?1;u=@-5;v=-1.5;w=%\"%c3%bc\""];
    for (n, form) in forms.into_iter().enumerate() {
        let seen = send(&app, request(form, "")).await;
        assert_eq!((seen.text(), seen.replayed()), ("run 1", n > 0), "{form}");
    }
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn an_escape_is_the_character_that_it_stands_for() {
    assert_eq!(IdempotencyKey::try_from(r#""a\"b\\c""#).unwrap().as_str(), r#"a"b\c"#);
    assert_eq!(IdempotencyKey::try_from(r#""two words""#).unwrap().as_str(), "two words");
}

#[tokio::test]
async fn strict_keys_are_quoted() {
    let (app, runs) = counting(layer().with_strict_keys());
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(runs.get(), 0);
    assert_eq!(send(&app, request("\"k\"", "")).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn the_keys_that_others_refuse_are_keys() {
    let (app, _) = counting(layer());
    let longest = "x".repeat(255);
    for key in ["8e03978e-40d5-43dd-bc93-6894a57f9324", "urn:uuid:8e03978e", "aGVsbG8/d29ybGQ+Cg==", "x", &*longest] {
        assert_eq!(send(&app, request(key, "")).await.status, StatusCode::CREATED, "{key}");
    }
}

#[tokio::test]
async fn a_missing_key_is_refused_only_where_one_is_required() {
    let without = || Request::post("/").body(Body::empty()).unwrap();
    let (app, runs) = counting(layer());
    for _ in 0..2 {
        let seen = send(&app, without()).await;
        assert_eq!((seen.status, seen.replayed()), (StatusCode::CREATED, false));
    }
    assert_eq!(runs.get(), 2);

    let (app, runs) = counting(layer().required().with_help("https://example.com/keys"));
    let seen = send(&app, without()).await;
    assert_eq!((seen.status, &*seen.title()), (StatusCode::BAD_REQUEST, "idempotency key missing"));
    assert_eq!(seen.headers["link"], "<https://example.com/keys>; rel=\"describedby\"");
    assert_eq!(runs.get(), 0);

    let (app, _) = counting(layer().with_required([http::Method::PUT]));
    assert_eq!(send(&app, without()).await.status, StatusCode::CREATED);
}

#[test]
fn a_key_is_not_shown() {
    let key = IdempotencyKey::try_from("secret").unwrap();
    assert!(!format!("{key:?}{:?}{:?}", key.to_bare(), key.to_quoted()).contains("secret"));
}

proptest! {
    #[test]
    fn any_key_survives_its_field_value(text in "[ -~]{1,255}") {
        let key = IdempotencyKey::new(&text).unwrap();
        prop_assert_eq!(IdempotencyKey::try_from(&key.to_quoted()).unwrap(), key.clone());
        let bare = IdempotencyKey::try_from(&key.to_bare()).unwrap();
        prop_assert_eq!(bare.as_str(), &text);
    }

    #[test]
    fn no_field_value_is_a_panic_or_an_overlong_key(field in "\\PC{0,300}") {
        if let Ok(key) = IdempotencyKey::try_from(&*field) {
            prop_assert!((1..=255).contains(&key.as_str().len()));
        }
    }
}

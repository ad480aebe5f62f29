//! GitHub's scheme.

use crate::support::{Inner, SECRET, delivery, github, send, signed};
use http::StatusCode;
use proptest::prelude::*;
use std::time::Duration;
use steadfast::{
    dedupe::DedupeKeys,
    webhook::{GitHub, Scheme, Secret, Unverified, Verified, VerifyLayer},
};

const PUBLISHED: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn verify(github: &GitHub, headers: &[(&str, &[u8])], body: &[u8]) -> Result<Verified, Unverified> {
    let (head, ()) = delivery(headers, "").map(|_| ()).into_parts();
    github.verify(&head, body, std::time::SystemTime::UNIX_EPOCH)
}

#[tokio::test]
async fn the_published_vector_is_let_through_and_made() {
    let data: serde_json::Value = serde_json::from_str(include_str!("../data/webhook_signatures.json")).unwrap();
    let vectors: Vec<_> = data["vectors"].as_array().unwrap().iter().filter(|v| v["scheme"] == "github").collect();
    assert!(!vectors.is_empty());
    for vector in vectors {
        let github = GitHub::new(Secret::new(vector["secret"].as_str().unwrap()).unwrap());
        let payload = vector["payload"].as_str().unwrap();
        let signature = vector["headers"]["X-Hub-Signature-256"].as_str().unwrap();
        let inner = Inner::default();
        let request = delivery(&[("X-Hub-Signature-256", signature.as_bytes())], payload.to_owned());
        assert_eq!(send(&VerifyLayer::new(github.clone()), &inner, request).await.status, StatusCode::ACCEPTED);
        assert_eq!(inner.only().1, payload);
        assert_eq!(github.sign(payload.as_bytes()), signature);
    }
}

#[test]
fn a_forged_signature_is_a_mismatch() {
    let other = GitHub::new(Secret::new("another").unwrap()).sign(b"Hello, World!");
    for signature in [
        other.as_bytes(),
        PUBLISHED.replace("757107", "757108").as_bytes(),
        &[b"sha256=".as_ref(), &[b'0'; 64]].concat(),
    ] {
        let result = verify(&github(), &[("x-hub-signature-256", signature)], b"Hello, World!");
        assert_eq!(result, Err(Unverified::Mismatch));
    }
    for body in ["", "Hello, World", "Hello, World!!", "hello, World!"] {
        let result = verify(&github(), &[("x-hub-signature-256", PUBLISHED.as_bytes())], body.as_bytes());
        assert_eq!(result, Err(Unverified::Mismatch), "{body:?}");
    }
}

#[test]
fn a_signature_of_another_form_is_malformed() {
    let digits = &PUBLISHED["sha256=".len()..];
    let forms: Vec<Vec<u8>> = vec![
        b"".into(),
        b"sha256=".into(),
        digits.into(),
        format!("sha1={digits}").into(),
        format!("SHA256={digits}").into(),
        format!("sha256= {digits}").into(),
        format!("sha256={digits} ").into(),
        format!("sha256={digits}00").into(),
        PUBLISHED[..PUBLISHED.len() - 1].into(),
        PUBLISHED[..PUBLISHED.len() - 2].into(),
        PUBLISHED.replace("757", "75g").into(),
        PUBLISHED.replace("757", "7+7").into(),
        [b"sha256=".as_ref(), &[0xff; 64]].concat(),
        format!("{PUBLISHED},{PUBLISHED}").into(),
    ];
    for form in forms {
        let result = verify(&github(), &[("x-hub-signature-256", &form)], b"Hello, World!");
        assert_eq!(result, Err(Unverified::Malformed), "{}", String::from_utf8_lossy(&form));
    }
    let good = ("x-hub-signature-256", PUBLISHED.as_bytes());
    assert_eq!(verify(&github(), &[good, good], b"Hello, World!"), Err(Unverified::Malformed), "which of the two?");
}

#[test]
fn a_signature_that_is_not_there_is_missing_and_the_old_one_does_not_count() {
    assert_eq!(verify(&github(), &[], b"Hello, World!"), Err(Unverified::Missing));
    let sha1 = ("x-hub-signature", b"sha1=0123456789012345678901234567890123456789".as_ref());
    assert_eq!(verify(&github(), &[sha1], b"Hello, World!"), Err(Unverified::Missing));
}

#[test]
fn digits_of_either_case_are_read() {
    let upper = PUBLISHED.to_uppercase().replace("SHA256", "sha256");
    assert!(verify(&github(), &[("x-hub-signature-256", upper.as_bytes())], b"Hello, World!").is_ok());
}

#[test]
fn while_a_secret_is_changed_both_are_right() {
    let changing = GitHub::new(Secret::new("new").unwrap()).or(Secret::new(SECRET).unwrap());
    let old = verify(&changing, &[("x-hub-signature-256", PUBLISHED.as_bytes())], b"Hello, World!").unwrap();
    assert_eq!(old.secret(), 1, "whoever asks sees that the old one is in use");
    let signature = changing.sign(b"Hello, World!");
    assert_ne!(signature, PUBLISHED, "the first one signs");
    let new = verify(&changing, &[("x-hub-signature-256", signature.as_bytes())], b"Hello, World!").unwrap();
    assert_eq!((new.secret(), new.scheme()), (0, "github"));
    let changed = GitHub::new(Secret::new("new").unwrap());
    let result = verify(&changed, &[("x-hub-signature-256", PUBLISHED.as_bytes())], b"Hello, World!");
    assert_eq!(result, Err(Unverified::Mismatch));
}

/// The dedupe keys of a delivery of the word "body", and the number of its windows.
async fn keys(layer: VerifyLayer, id: Option<&str>) -> (Vec<String>, Vec<Duration>) {
    let inner = Inner::default();
    let mut request = signed(&github(), "body");
    if let Some(id) = id {
        request.headers_mut().insert("x-github-delivery", id.parse().unwrap());
    }
    assert_eq!(send(&layer, &inner, request).await.status, StatusCode::ACCEPTED);
    let head = inner.only().0;
    let verified = head.extensions.get::<Verified>().unwrap();
    assert_eq!(verified.delivery(), id.filter(|id| !id.is_empty() && id.len() < 200));
    let keys = head.extensions.get::<DedupeKeys>().unwrap().clone();
    assert_eq!(&keys, verified.dedupe());
    let windows = keys.iter().filter_map(|(_, window)| window).collect();
    (keys.into_vec(), windows)
}

#[tokio::test]
async fn a_delivery_is_known_by_its_id_and_by_its_digest_only_where_asked_for_and_for_a_while() {
    let minutes = Duration::from_secs(300);
    let github = github();
    let layer = |github: GitHub| VerifyLayer::new(github).with_source("hooks/a%");
    let id = "hooks%2Fa%25/delivery///72d3162e-cc78-11e3-81ab-4c9367dc0958";
    let given = Some("72d3162e-cc78-11e3-81ab-4c9367dc0958");
    assert_eq!(keys(layer(github.clone()), given).await, (vec![id.to_owned()], vec![]));
    for none in [None, Some(""), Some("x".repeat(200)).as_deref()] {
        assert_eq!(keys(layer(github.clone()), none).await, (vec![], vec![]), "no GUID, and no digest in its place");
    }
    // the digest of the word "body", from `printf body | sha256sum`
    let digest = "hooks%2Fa%25/sha256/230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5";
    let both = (vec![id.to_owned(), digest.to_owned()], vec![minutes]);
    let with_digest = github.clone().with_digest(minutes);
    assert_eq!(keys(layer(with_digest.clone()), given).await, both);
    assert_eq!(keys(layer(with_digest.clone()), None).await, (vec![digest.to_owned()], vec![minutes]));
    assert_eq!(keys(layer(with_digest.without_digest()), given).await.1, []);
    let long = github.with_digest(Duration::MAX);
    assert_eq!(keys(layer(long), given).await.1, [Duration::from_secs(3600)], "a digest is no identity");
}

#[test]
fn each_secret_is_a_source_and_none_is_printed_in_it() {
    let two = github().or(Secret::new("new").unwrap());
    let sources = two.sources();
    assert_eq!(sources.len(), 2);
    assert_eq!(sources[0], github().sources()[0], "the same in every process");
    assert_ne!(sources[0], sources[1]);
    assert!(sources.iter().all(|source| source.len() == "github:".len() + 16 && !source.contains("Every")));
}

#[test]
fn a_secret_is_neither_empty_nor_printed() {
    assert!(Secret::new("").is_err());
    assert!(Secret::try_from(String::new()).is_err());
    let printed = format!("{:?} {:?}", github(), VerifyLayer::new(github()));
    assert!(printed.contains("***") && !printed.contains("Everybody"), "{printed}");
    assert!(github().sign(b"x").is_sensitive());
}

proptest! {
    #[test]
    fn any_body_that_was_signed_verifies_and_any_other_does_not(
        secret in prop::collection::vec(any::<u8>(), 1..100),
        body in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        bit in 0..8,
    ) {
        let github = GitHub::new(Secret::new(&secret).unwrap());
        let signature = github.sign(&body);
        let headers = [("x-hub-signature-256", signature.as_bytes())];
        prop_assert!(verify(&github, &headers, &body).is_ok());
        let mut other = body.clone();
        if body.is_empty() { other.push(0) } else { other[at.index(body.len())] ^= 1_u8 << bit }
        prop_assert_eq!(verify(&github, &headers, &other), Err(Unverified::Mismatch));
    }

    #[test]
    fn no_header_makes_it_panic(value in prop::collection::vec(0x20..=0xff_u8, 0..100)) {
        if http::HeaderValue::from_bytes(&value).is_ok() {
            prop_assert!(verify(&github(), &[("x-hub-signature-256", &value)], b"x").is_err());
        }
    }
}

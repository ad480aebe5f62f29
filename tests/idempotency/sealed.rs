//! Answers that are stored sealed.

use crate::{
    scripted::Scripted,
    support::{Runs, app, over, request, send},
};
use chacha20poly1305::{
    AeadCore, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, OsRng, Payload},
};
use http::StatusCode;
use std::sync::{Arc, Mutex};
use steadfast::{
    error::BoxError,
    idempotency::{Claim, IdempotencyLayer, IdempotencyStore, Recorded, Seal, StoreKey, StoredResponse},
};

#[derive(Clone)]
struct ChaCha([u8; 32]);

impl ChaCha {
    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.0.into())
    }
}

impl Seal for ChaCha {
    fn seal(&self, answer: &[u8], bound_to: &[u8]) -> Result<Vec<u8>, BoxError> {
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let sealed = self.cipher().encrypt(&nonce, Payload { msg: answer, aad: bound_to }).map_err(|_| "failed")?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn open(&self, sealed: &[u8], bound_to: &[u8]) -> Result<Vec<u8>, BoxError> {
        let (nonce, sealed) = sealed.split_at_checked(24).ok_or("too short")?;
        let opened = self.cipher().decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: bound_to });
        opened.map_err(|_| "not ours".into())
    }
}

fn sealed(store: &Scripted, key: u8) -> IdempotencyLayer {
    over(store.clone()).with_seal(ChaCha([key; 32]))
}

fn pays(layer: IdempotencyLayer) -> (axum::Router, Runs) {
    app(layer, |_| async { (StatusCode::CREATED, [("location", "/secret/7"), ("set-cookie", "s=1")], "secret body") })
}

async fn stored(store: &Scripted, key: &str) -> StoredResponse {
    match store.get(StoreKey::new(b"", key)).await.unwrap() {
        Some(Recorded::Response(stored)) => stored,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_shows_nothing_and_is_replayed_whole() {
    let store = Scripted::default();
    let (app, runs) = pays(sealed(&store, 1));
    let first = send(&app, request("k", "")).await;
    assert_eq!(first.text(), "secret body");
    let blob = stored(&store, "k").await.encode();
    for secret in [&b"secret"[..], b"location", b"201", &201_u16.to_be_bytes()] {
        assert!(!blob.windows(secret.len()).any(|part| part == secret), "{}", secret.escape_ascii());
    }
    let again = send(&app, request("k", "")).await;
    assert_eq!((again.status, again.text(), again.replayed()), (StatusCode::CREATED, "secret body", true));
    assert_eq!(again.headers["location"], "/secret/7");
    assert!(!again.headers.contains_key("set-cookie") && !again.headers.contains_key("steadfast-sealed"));
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_opened_is_a_clear_error_and_never_run_again() {
    let store = Scripted::default();
    send(&pays(sealed(&store, 1)).0, request("k", "")).await;
    // another key, no seal at all, and those that let requests pass when the store is down
    for layer in [sealed(&store, 2), over(store.clone()), sealed(&store, 2).with_fail_open()] {
        let (app, runs) = pays(layer);
        for _ in 0..2 {
            let seen = send(&app, request("k", "")).await;
            assert_eq!(
                (seen.status, &*seen.title()),
                (StatusCode::SERVICE_UNAVAILABLE, "idempotency record unreadable")
            );
        }
        assert_eq!(runs.get(), 0);
    }
    assert!(send(&pays(sealed(&store, 1)).0, request("k", "")).await.replayed(), "nor harmed");
}

#[tokio::test(start_paused = true)]
async fn an_answer_moved_to_another_key_does_not_open() {
    let store = Scripted::default();
    let moved = Arc::new(Mutex::new(None::<StoredResponse>));
    let take = moved.clone();
    send(&pays(sealed(&store, 1)).0, request("k", "")).await;
    *moved.lock().unwrap() = Some(stored(&store, "k").await);
    // whoever can write to the store puts it under another key
    let memory = store.memory.clone();
    let (plants, _) = app(over(store.clone()), move |request| {
        let (claim, planted) =
            (request.extensions().get::<Claim>().unwrap().clone(), take.lock().unwrap().take().unwrap());
        let memory = memory.clone();
        async move {
            let keep = std::time::Duration::from_secs(60);
            memory.complete(claim.fence(), Recorded::Response(planted), keep).await.unwrap();
        }
    });
    send(&plants, request("other", "")).await;
    let (app, runs) = pays(sealed(&store, 1));
    assert_eq!(send(&app, request("other", "")).await.title(), "idempotency record unreadable");
    assert_eq!(runs.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn answers_from_before_there_was_a_seal_are_given() {
    let store = Scripted::default();
    send(&pays(over(store.clone())).0, request("k", "")).await;
    let again = send(&pays(sealed(&store, 1)).0, request("k", "")).await;
    assert_eq!((again.text(), again.replayed()), ("secret body", true));
}

/// Fails, or panics.
struct Broken(bool);

impl Seal for Broken {
    fn seal(&self, _: &[u8], _: &[u8]) -> Result<Vec<u8>, BoxError> {
        assert!(!self.0, "no seal");
        Err("no seal".into())
    }
    fn open(&self, _: &[u8], _: &[u8]) -> Result<Vec<u8>, BoxError> {
        panic!("nothing was sealed")
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sealed_is_not_kept_in_the_open() {
    for panics in [false, true] {
        let store = Scripted::default();
        let (app, runs) = pays(over(store.clone()).with_seal(Broken(panics)));
        assert_eq!(send(&app, request("k", "")).await.text(), "secret body", "its caller has it");
        assert_eq!(store.get(StoreKey::new(b"", "k")).await.unwrap(), Some(Recorded::NotRetained));
        assert_eq!(send(&app, request("k", "")).await.title(), "answer not retained");
        assert_eq!(runs.get(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_seal_that_panics_when_it_opens_is_one_that_cannot() {
    let store = Scripted::default();
    send(&pays(sealed(&store, 1)).0, request("k", "")).await;
    let (app, runs) = pays(over(store).with_seal(Broken(false)));
    assert_eq!(send(&app, request("k", "")).await.title(), "idempotency record unreadable");
    assert_eq!(runs.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_and_an_answer_in_a_transaction_are_sealed_too() {
    let store = Scripted::default();
    let (panics, _) = app(sealed(&store, 1), |_| async { assert!(std::hint::black_box(false), "boom") });
    let _ = tokio::spawn(async move { send(&panics, request("panics", "")).await }).await;
    assert!(stored(&store, "panics").await.headers.contains_key("steadfast-sealed"));

    let memory = store.memory.clone();
    let (in_transaction, _) = app(sealed(&store, 1), move |request| {
        let (claim, memory) = (request.extensions().get::<Claim>().unwrap().clone(), memory.clone());
        async move {
            claim.mark_in_transaction();
            let answer = StoredResponse::json(StatusCode::CREATED, "{\"secret\":1}");
            let recorded = claim.recorded(&answer).unwrap();
            memory.complete(claim.fence(), recorded, claim.keep()).await.unwrap();
            answer
        }
    });
    for replayed in [false, true] {
        let seen = send(&in_transaction, request("tx", "")).await;
        assert_eq!((seen.text(), seen.replayed()), ("{\"secret\":1}", replayed));
    }
    assert!(stored(&store, "tx").await.headers.contains_key("steadfast-sealed"));
}

#[tokio::test]
async fn a_handler_cannot_pass_for_sealed() {
    let store = Scripted::default();
    let (app, _) = app(over(store.clone()), |_| async { ([("steadfast-sealed", "1")], "plain") });
    send(&app, request("k", "")).await;
    let again = send(&app, request("k", "")).await;
    assert_eq!((again.text(), again.replayed()), ("plain", true));
}

#[tokio::test]
async fn debug_shows_that_there_is_a_seal_and_no_more() {
    let shown = format!("{:?}", sealed(&Scripted::default(), 77));
    assert!(shown.contains("Seal(***)") && !shown.contains("77, 77"), "{shown}");
}

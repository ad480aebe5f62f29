//! A begin that reaches its store after its key was freed.

use crate::{
    scripted::{Call, Fault, Scripted},
    support::{Runs, app, counting, layer, over, request, send},
};
use axum::{Extension, response::IntoResponse};
use http::StatusCode;
use std::time::Duration;
use steadfast::{
    idempotency::{Begin, Begun, Claim, Fence, Fingerprint, IdempotencyStore as _, NotExecuted, StoreKey, Token},
    store::memory::MemoryStore,
};
use tokio::time::{Instant, sleep};

const LATE: Fault = Fault::Late(Duration::from_secs(10));

#[tokio::test(start_paused = true)]
async fn a_late_begin_claims_no_key_that_a_request_without_effects_freed() {
    let store = Scripted::default();
    let n = Runs::default();
    let (app, runs) = app(over(store.clone()), move |_| {
        let first = n.add() == 1;
        async move {
            if first {
                return (StatusCode::TOO_MANY_REQUESTS, Extension(NotExecuted)).into_response();
            }
            StatusCode::CREATED.into_response()
        }
    });
    // the first begin is on its way for 10 s, the second is answered at once: the handler runs, and frees the key
    store.next(Call::Begin, [LATE]);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::TOO_MANY_REQUESTS);
    sleep(Duration::from_secs(60)).await;
    let seen = send(&app, request("k", "")).await;
    assert_eq!((seen.status, seen.replayed(), runs.get()), (StatusCode::CREATED, false, 2), "{}", seen.text());
}

#[tokio::test(start_paused = true)]
async fn a_late_begin_claims_no_key_that_a_rolled_back_transaction_freed() {
    let store = Scripted::default();
    let n = Runs::default();
    let (app, runs) = app(over(store.clone()), move |request| {
        let first = n.add() == 1;
        async move {
            if first {
                request.extensions().get::<Claim>().unwrap().mark_in_transaction();
            }
            StatusCode::CREATED
        }
    });
    store.next(Call::Begin, [LATE]);
    assert_eq!(send(&app, request("k", "")).await.title(), "transaction rolled back");
    sleep(Duration::from_secs(60)).await;
    let seen = send(&app, request("k", "")).await;
    assert_eq!((seen.status, seen.replayed(), runs.get()), (StatusCode::CREATED, false, 2));
}

/// The answer was that another request has the key; the begin before it was never answered.
#[tokio::test(start_paused = true)]
async fn a_late_begin_of_a_request_that_was_refused_claims_nothing() {
    let store = Scripted::default();
    let (app, runs) = app(over(store.clone()), |_| async {
        sleep(Duration::from_secs(5)).await;
        (StatusCode::TOO_MANY_REQUESTS, Extension(NotExecuted))
    });
    let first = tokio::spawn({
        let app = app.clone();
        async move { send(&app, request("k", "")).await.status }
    });
    sleep(Duration::from_secs(1)).await;
    store.next(Call::Begin, [LATE]);
    assert_eq!(send(&app, request("k", "")).await.title(), "request in flight");
    assert_eq!(first.await.unwrap(), StatusCode::TOO_MANY_REQUESTS);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!((runs.get(), store.memory.records()), (2, 0));
}

/// Late for as long as TCP may be: the connection sends a segment again at most 120 s after the network is back.
#[tokio::test(start_paused = true)]
async fn late_begins_of_a_client_that_repeats_through_an_outage_claim_nothing() {
    let store = Scripted::default();
    let layer = over(store.clone());
    let (app, runs) = counting(layer.clone());
    store.next(Call::Begin, (0..8).map(|n| Fault::Late(Duration::from_secs(100 + n))));
    for _ in 0..4 {
        assert_eq!(send(&app, request("k", "")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    layer.drained().await;
    sleep(Duration::from_secs(600)).await;
    assert_eq!(store.memory.records(), 0, "a claim of a request that was answered 503 long ago");
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::CREATED);
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_late_begin_of_one_process_does_not_disturb_the_claim_of_another() {
    let store = MemoryStore::new();
    let fingerprint = Fingerprint { version: Fingerprint::VERSION, hash: [0; 32] };
    let key = StoreKey::new(b"", "k");
    let of = || Begin { key, fingerprint, token: Token::random(), lease: Duration::from_secs(30), take_over: None };
    let fence = |begin: &Begin| Fence { key, token: begin.token };
    let (late, other) = (of(), of());
    store.release(fence(&late)).await.unwrap();
    assert!(matches!(store.begin(other).await.unwrap(), Begun::Acquired { attempt: 1 }));
    assert!(!matches!(store.begin(late).await, Ok(Begun::Acquired { .. })), "the key is the other's");
    store.release(fence(&other)).await.unwrap();
    for freed in [late, other] {
        assert!(!matches!(store.begin(freed).await, Ok(Begun::Acquired { .. })), "both were given up");
    }
    assert!(matches!(store.begin(of()).await.unwrap(), Begun::Acquired { attempt: 1 }));
}

#[tokio::test(start_paused = true)]
async fn one_begin_that_failed_does_not_hold_up_a_shutdown() {
    for faults in [[Fault::Fails; 2], [Fault::LosesReply; 2], [Fault::Hangs; 2]] {
        let store = Scripted::default();
        let layer = over(store.clone());
        let (app, _) = counting(layer.clone());
        store.next(Call::Begin, faults);
        assert_eq!(send(&app, request("k", "")).await.status, StatusCode::SERVICE_UNAVAILABLE);
        let began = Instant::now();
        layer.drained().await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?} after {faults:?}", began.elapsed());
        assert_eq!(store.memory.records(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_full_is_asked_to_free_nothing() {
    let layer = over(MemoryStore::new().with_max_records(1));
    let (app, runs) = counting(layer.clone());
    send(&app, request("a", "")).await;
    let began = Instant::now();
    assert_eq!(send(&app, request("b", "")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    layer.drained().await;
    assert_eq!((began.elapsed(), runs.get()), (Duration::ZERO, 1));

    let store = Scripted::default();
    let layer = over(store.clone());
    let (app, _) = counting(layer.clone());
    store.next(Call::Begin, [Fault::Refuses; 2]);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    layer.drained().await;
    assert_eq!((store.calls(Call::Begin), store.calls(Call::Release)), (2, 0));
}

/// A refusal of the second call does not make the first one certain.
#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_begin_of_unknown_outcome_frees_the_key() {
    let store = Scripted::default();
    let layer = over(store.clone());
    let (app, _) = counting(layer.clone());
    store.next(Call::Begin, [Fault::LosesReply, Fault::Refuses]);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(store.memory.records(), 1);
    layer.drained().await;
    assert_eq!(store.memory.records(), 0);
}

/// Clones share the detached handlers, also under another name.
#[tokio::test(start_paused = true)]
async fn a_layer_waits_for_the_handlers_of_its_clones_of_another_name() {
    let keys = layer();
    let (app, _) = app(keys.clone().with_name("clone"), |_| async {
        sleep(Duration::from_secs(5)).await;
        StatusCode::CREATED
    });
    crate::support::leave(tower::ServiceExt::oneshot(app.clone(), request("k", "")));
    let began = Instant::now();
    keys.drained().await;
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    assert!(send(&app, request("k", "")).await.replayed());
    let state = |name: &str| {
        let listed = steadfast::registry().snapshot().into_iter().filter(|entry| entry.name == name);
        listed.map(|entry| entry.state).collect::<Vec<_>>()
    };
    assert_eq!(state("clone").len(), 1);
}

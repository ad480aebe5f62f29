//! Records that a handler writes in a transaction of its own.

use crate::{
    scripted::{Call, Fault, Scripted},
    support::{Runs, app, over, request, send},
};
use axum::{Router, response::IntoResponse};
use http::StatusCode;
use std::time::Duration;
use steadfast::idempotency::{Claim, IdempotencyLayer, IdempotencyStore, Recorded, StoredResponse};

const KEEP: Duration = Duration::from_secs(3600);

/// A handler that completes its claim in a transaction, which `commits` or is rolled back, and says `status`.
fn pays(
    layer: IdempotencyLayer,
    store: &Scripted,
    commits: impl Fn(usize) -> bool + Clone + Send + Sync + 'static,
    status: StatusCode,
) -> (Router, Runs) {
    let (store, n) = (store.clone(), Runs::default());
    app(layer, move |request| {
        let (store, run, commits) = (store.clone(), n.add(), commits.clone());
        async move {
            let claim = request.extensions().get::<Claim>().unwrap();
            let answer = StoredResponse::json(StatusCode::CREATED, format!("{{\"run\":{run}}}"));
            claim.mark_in_transaction();
            if commits(run) {
                let recorded = Recorded::Response(answer.clone());
                store.memory.complete(claim.fence(), recorded, KEEP).await.unwrap();
            }
            if status == StatusCode::CREATED { answer.into_response() } else { status.into_response() }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_committed_record_is_the_answer_and_is_not_written_again() {
    let store = Scripted::default();
    let (app, runs) = pays(over(store.clone()), &store, |_| true, StatusCode::CREATED);
    for replayed in [false, true] {
        let seen = send(&app, request("k", "")).await;
        assert_eq!((seen.status, seen.text(), seen.replayed()), (StatusCode::CREATED, "{\"run\":1}", replayed));
    }
    assert_eq!((runs.get(), store.calls(Call::Complete), store.calls(Call::Settled)), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_yes_after_a_rollback_is_not_given_and_the_key_is_free() {
    let store = Scripted::default();
    let (app, runs) = pays(over(store.clone()), &store, |run| run > 1, StatusCode::CREATED);
    let seen = send(&app, request("k", "")).await;
    assert_eq!((seen.status, &*seen.title()), (StatusCode::INTERNAL_SERVER_ERROR, "transaction rolled back"));
    let seen = send(&app, request("k", "")).await;
    assert_eq!((seen.status, seen.text(), seen.replayed()), (StatusCode::CREATED, "{\"run\":2}", false));
    assert_eq!(runs.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_no_after_a_rollback_is_an_answer_like_any_other() {
    let store = Scripted::default();
    let (app, runs) = pays(over(store.clone()), &store, |_| false, StatusCode::PAYMENT_REQUIRED);
    for replayed in [false, true] {
        let seen = send(&app, request("k", "")).await;
        assert_eq!((seen.status, seen.replayed()), (StatusCode::PAYMENT_REQUIRED, replayed));
    }
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_yes_of_which_the_store_says_nothing_is_told_later() {
    for committed in [true, false] {
        let store = Scripted::default();
        let layer = over(store.clone());
        let (app, runs) = pays(layer.clone(), &store, move |run| committed || run > 1, StatusCode::CREATED);
        store.next(Call::Settled, [Fault::Fails; 5]);
        let seen = send(&app, request("k", "")).await;
        assert_eq!(
            (seen.status, &seen.headers["retry-after"]),
            (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
        );
        layer.drained().await;
        let again = send(&app, request("k", "")).await;
        assert_eq!((again.status, again.replayed()), (StatusCode::CREATED, committed), "the truth");
        assert_eq!(runs.get(), if committed { 1 } else { 2 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_no_of_which_the_store_says_nothing_leaves_a_committed_record_alone() {
    let store = Scripted::default();
    let layer = over(store.clone());
    let (app, runs) = pays(layer.clone(), &store, |_| true, StatusCode::BAD_GATEWAY);
    store.next(Call::Settled, [Fault::Fails; 2]);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::BAD_GATEWAY);
    layer.drained().await;
    let again = send(&app, request("k", "")).await;
    assert_eq!((again.status, again.text()), (StatusCode::CREATED, "{\"run\":1}"));
    assert_eq!(runs.get(), 1);
}

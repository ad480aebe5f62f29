use crate::{
    scripted::{Call, Fault, Scripted},
    support::{app, counting, leave, over, request, send},
};
use http::StatusCode;
use std::time::Duration;
use steadfast::{idempotency::NotExecuted, store::memory::MemoryStore};
use tokio::time::{Instant, sleep};
use tower::ServiceExt;

const DOWN: [Fault; 2] = [Fault::Fails; 2];

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_at_begin_refuses() {
    let store = Scripted::default();
    let (app, runs) = counting(over(store.clone()));
    store.next(Call::Begin, DOWN);
    let seen = send(&app, request("k", "")).await;
    assert_eq!((seen.status, &*seen.title()), (StatusCode::SERVICE_UNAVAILABLE, "idempotency store unavailable"));
    assert_eq!(seen.headers["retry-after"], "1");
    assert_eq!(runs.get(), 0);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::CREATED);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_begin_is_not_waited_for_for_ever() {
    let store = Scripted::default();
    let (app, runs) = counting(over(store.clone()).with_hold(Duration::from_secs(3)));
    store.next(Call::Begin, [Fault::Hangs; 2]);
    let began = Instant::now();
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((began.elapsed(), runs.get()), (Duration::from_secs(6), 0));
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_of_begin_is_no_conflict_with_oneself() {
    for fault in [Fault::LosesReply, Fault::Hangs] {
        let store = Scripted::default();
        let (app, runs) = counting(over(store.clone()));
        store.next(Call::Begin, [fault]);
        assert_eq!(send(&app, request("k", "")).await.status, StatusCode::CREATED);
        assert_eq!((runs.get(), store.calls(Call::Begin)), (1, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_reply_never_came_is_given_back() {
    let store = Scripted::default();
    let layer = over(store.clone());
    let (app, runs) = counting(layer.clone());
    store.next(Call::Begin, [Fault::LosesReply; 2]);
    store.next(Call::Release, DOWN);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(store.memory.records(), 1, "the store has a claim that nobody knows of");
    layer.drained().await;
    assert_eq!(store.memory.records(), 0);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::CREATED, "and not a conflict for ever");
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_given_back_however_long_the_store_is_away() {
    let store = Scripted::default();
    let layer = over(store.clone());
    let (app, runs) = counting(layer.clone());
    store.next(Call::Begin, [Fault::LosesReply; 2]);
    store.next(Call::Release, vec![Fault::Fails; 1000]);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(store.memory.records(), 1, "it has lapsed by now");
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::CREATED, "and is known to have run nothing");
    assert_eq!(runs.get(), 1);
    layer.drained().await;
    assert!(send(&app, request("k", "")).await.replayed(), "the record of the run stays");
}

#[tokio::test(start_paused = true)]
async fn a_begin_that_comes_to_the_store_late_leaves_no_claim() {
    let store = Scripted::default();
    let layer = over(store.clone());
    let (app, runs) = counting(layer.clone());
    // given up after 2 s each, and answered 503; the claims come later than the first release
    store.next(Call::Begin, [Fault::Late(Duration::from_secs(10)), Fault::Late(Duration::from_secs(20))]);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    layer.drained().await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(store.memory.records(), 0);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::CREATED);
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_is_one_task_and_costs_a_store_that_is_away_one_call_at_a_time() {
    let store = Scripted::default();
    let layer = over(store.clone()).with_name("gives back").with_lease(Duration::from_secs(1));
    let (app, _) = counting(layer.clone());
    store.next(Call::Begin, [Fault::Fails; 200]);
    store.next(Call::Release, [Fault::Fails; 5]);
    for n in 0..100 {
        assert_eq!(send(&app, request(&n.to_string(), "")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    let listed = steadfast::registry().snapshot().into_iter().find(|entry| entry.name == "gives back").unwrap();
    assert_eq!(listed.state.iter().find(|(name, _)| *name == "tasks").unwrap().1, 1_u64.into());
    layer.drained().await;
    let calls = store.calls(Call::Release);
    assert!((105..1500).contains(&calls), "{calls}");
}

#[tokio::test(start_paused = true)]
async fn where_it_was_asked_for_a_store_that_is_down_lets_requests_pass() {
    let store = Scripted::default();
    let layer = over(store.clone()).with_fail_open();
    let (app, runs) = app(layer.clone(), |request| async move {
        request.extensions().get::<steadfast::idempotency::Claim>().is_some_and(|claim| !claim.is_open()).to_string()
    });
    store.next(Call::Begin, [Fault::LosesReply; 4]);
    for n in 1..=2 {
        let seen = send(&app, request("k", "")).await;
        assert_eq!((seen.status, seen.text(), seen.replayed(), runs.get()), (StatusCode::OK, "false", false, n));
    }
    layer.drained().await;
    assert_eq!(store.memory.records(), 0, "what it may have claimed is given back");
    assert_eq!(send(&app, request("k", "")).await.text(), "true", "back to one run for each key");
    assert!(send(&app, request("k", "")).await.replayed());
    assert_eq!(runs.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_at_complete_costs_the_caller_nothing_and_is_told_later() {
    let store = Scripted::default();
    let layer = over(store.clone());
    let (app, runs) = counting(layer.clone());
    store.next(Call::Complete, [Fault::Fails; 10]);
    let began = Instant::now();
    let seen = send(&app, request("k", "")).await;
    assert_eq!((seen.status, seen.text(), began.elapsed()), (StatusCode::CREATED, "run 1", Duration::ZERO));
    assert_eq!(send(&app, request("k", "")).await.title(), "request in flight", "never released");
    layer.drained().await;
    assert!(send(&app, request("k", "")).await.replayed());
    assert_eq!((runs.get(), store.calls(Call::Complete), store.calls(Call::Release)), (1, 11, 0));
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_held_for_as_long_as_its_record_is_not_in() {
    let store = Scripted::default();
    let (app, runs) = counting(over(store.clone()).with_lease(Duration::from_secs(3)));
    store.next(Call::Complete, vec![Fault::Fails; 10_000]);
    send(&app, request("k", "")).await;
    sleep(Duration::from_secs(600)).await;
    assert_eq!(send(&app, request("k", "")).await.title(), "request in flight");
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_record_holds_the_answer_two_seconds_at_most() {
    let store = Scripted::default();
    let layer = over(store.clone());
    let (app, _) = counting(layer.clone());
    store.next(Call::Complete, [Fault::Hangs]);
    let began = Instant::now();
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::CREATED);
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    layer.drained().await;
    assert!(send(&app, request("k", "")).await.replayed());
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_of_complete_keeps_the_record() {
    let store = Scripted::default();
    let layer = over(store.clone());
    let (app, runs) = counting(layer.clone());
    store.next(Call::Complete, [Fault::LosesReply]);
    assert_eq!(send(&app, request("k", "")).await.text(), "run 1");
    layer.drained().await;
    let again = send(&app, request("k", "")).await;
    assert_eq!((again.text(), again.replayed(), runs.get()), ("run 1", true, 1));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_recorded_later_too() {
    let store = Scripted::default();
    let layer = over(store.clone());
    let (app, runs) = app(layer.clone(), |_| async {
        assert!(std::hint::black_box(false), "boom");
    });
    store.next(Call::Complete, DOWN);
    assert!(tokio::spawn(app.clone().oneshot(request("k", ""))).await.unwrap_err().is_panic());
    layer.drained().await;
    assert_eq!(send(&app, request("k", "")).await.title(), "handler panicked");
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_is_tried_again_before_the_lease_lapses() {
    let store = Scripted::default();
    let (app, runs) = app(over(store.clone()).with_lease(Duration::from_secs(12)), |_| sleep(Duration::from_secs(60)));
    store.next(Call::Renew, [Fault::Fails, Fault::Hangs, Fault::None]);
    leave(app.clone().oneshot(request("k", "")));
    for _ in 0..19 {
        sleep(Duration::from_secs(3)).await;
        assert_eq!(send(&app, request("k", "")).await.title(), "request in flight");
    }
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_fails_is_told_later() {
    let store = Scripted::default();
    let layer = over(store.clone());
    let (app, _) = app(layer.clone(), |_| async { (StatusCode::TOO_MANY_REQUESTS, axum::Extension(NotExecuted)) });
    store.next(Call::Release, DOWN);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::TOO_MANY_REQUESTS);
    layer.drained().await;
    assert_eq!(store.memory.records(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_memory_store_refuses_and_still_replays() {
    let (app, runs) = counting(over(MemoryStore::new().with_max_records(1)));
    assert_eq!(send(&app, request("a", "")).await.status, StatusCode::CREATED);
    assert_eq!(send(&app, request("b", "")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(send(&app, request("a", "")).await.replayed());
    assert_eq!(runs.get(), 1);
}

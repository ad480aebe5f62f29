//! Claims that lapsed: after a crash, or because the store could not be reached for longer than the lease.

use crate::{
    scripted::{Call, Fault, Scripted},
    support::{Runs, app, layer, leave, over, request, send},
};
use axum::{body::Body, response::IntoResponse};
use http::StatusCode;
use http_body_util::BodyExt;
use std::{sync::Arc, time::Duration};
use steadfast::idempotency::{Claim, ClaimLost, IdempotencyLayer, NotExecuted, OnUnknown, Recovered, StoredResponse};
use tokio::{sync::Notify, time::sleep};
use tower::ServiceExt;

/// A process that was cut off: its renewals never reach the store.
fn cut_off() -> Scripted {
    let store = Scripted::default();
    store.next(Call::Renew, vec![Fault::Fails; 1000]);
    store
}

fn rerun(store: &Scripted) -> IdempotencyLayer {
    over(store.clone()).with_on_unknown(OnUnknown::Rerun)
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_never_heard_of_again_is_unknown_and_not_run_again() {
    let store = cut_off();
    let (app, runs) = app(over(store), |_| std::future::pending::<()>());
    leave(app.clone().oneshot(request("k", "")));
    sleep(Duration::from_secs(29)).await;
    assert_eq!(send(&app, request("k", "")).await.title(), "request in flight");
    sleep(Duration::from_secs(2)).await;
    for _ in 0..3 {
        let seen = send(&app, request("k", "")).await;
        assert_eq!((seen.status, &*seen.title()), (StatusCode::CONFLICT, "outcome unknown"));
        assert!(!seen.headers.contains_key("retry-after"));
        sleep(Duration::from_secs(600)).await;
    }
    assert_eq!(send(&app, request("k", "other")).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn rerun_runs_it_again_as_the_next_attempt() {
    let store = cut_off();
    let n = Runs::default();
    let (app, runs) = app(rerun(&store), move |request| {
        let first = n.add() == 1;
        async move {
            if first {
                std::future::pending::<()>().await;
            }
            request.extensions().get::<Claim>().unwrap().attempt().to_string()
        }
    });
    leave(app.clone().oneshot(request("k", "")));
    sleep(Duration::from_secs(31)).await;
    assert_eq!(send(&app, request("k", "")).await.text(), "2");
    assert!(send(&app, request("k", "")).await.replayed());
    assert_eq!(runs.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_many_that_find_it_lapsed_one_runs_it_again() {
    let store = cut_off();
    let (app, runs) = app(rerun(&store), |_| std::future::pending::<()>());
    leave(app.clone().oneshot(request("k", "")));
    sleep(Duration::from_secs(31)).await;
    leave(app.clone().oneshot(request("k", "")));
    for _ in 0..5 {
        assert_eq!(send(&app, request("k", "")).await.title(), "request in flight");
    }
    assert_eq!(runs.get(), 2);
}

/// The first run waits for the gate, all others answer at once.
fn first_waits(layer: IdempotencyLayer) -> (axum::Router, Arc<Notify>) {
    let (open, n) = (Arc::new(Notify::new()), Runs::default());
    let gate = open.clone();
    let (app, _) = app(layer, move |_| {
        let (gate, run) = (gate.clone(), n.add());
        async move {
            if run == 1 {
                gate.notified().await;
            }
            format!("run {run}")
        }
    });
    (app, open)
}

#[tokio::test(start_paused = true)]
async fn a_zombie_gives_its_caller_the_owners_answer() {
    let (app, open) = first_waits(rerun(&cut_off()));
    let zombie = tokio::spawn(app.clone().oneshot(request("k", "")));
    sleep(Duration::from_secs(31)).await;
    assert_eq!(send(&app, request("k", "")).await.text(), "run 2");
    open.notify_one();
    let seen = crate::support::see(zombie.await.unwrap().unwrap()).await;
    assert_eq!((seen.text(), seen.replayed()), ("run 2", true));
    assert_eq!(send(&app, request("k", "")).await.text(), "run 2", "the record is the owner's");
}

#[tokio::test(start_paused = true)]
async fn a_zombie_that_did_nothing_gives_its_caller_the_owners_answer_too() {
    let (open, n) = (Arc::new(Notify::new()), Runs::default());
    let gate = open.clone();
    let (app, _) = app(rerun(&cut_off()), move |_| {
        let (gate, run) = (gate.clone(), n.add());
        async move {
            if run > 1 {
                return format!("run {run}").into_response();
            }
            gate.notified().await;
            (StatusCode::SERVICE_UNAVAILABLE, axum::Extension(NotExecuted)).into_response()
        }
    });
    let zombie = tokio::spawn(app.clone().oneshot(request("k", "")));
    sleep(Duration::from_secs(31)).await;
    assert_eq!(send(&app, request("k", "")).await.text(), "run 2");
    open.notify_one();
    let seen = crate::support::see(zombie.await.unwrap().unwrap()).await;
    assert_eq!((seen.text(), seen.replayed()), ("run 2", true));
    assert_eq!(send(&app, request("k", "")).await.text(), "run 2", "the key is not freed");
}

#[tokio::test(start_paused = true)]
async fn a_zombie_whose_owner_still_runs_gets_a_conflict() {
    let store = cut_off();
    let (open, n) = (Arc::new(Notify::new()), Runs::default());
    let gate = open.clone();
    let (app, _) = app(rerun(&store), move |_| {
        let (gate, first) = (gate.clone(), n.add() == 1);
        async move { if first { gate.notified().await } else { std::future::pending().await } }
    });
    let zombie = tokio::spawn(app.clone().oneshot(request("k", "")));
    sleep(Duration::from_secs(31)).await;
    leave(app.clone().oneshot(request("k", "")));
    open.notify_one();
    let seen = crate::support::see(zombie.await.unwrap().unwrap()).await;
    assert_eq!((seen.status, &*seen.title()), (StatusCode::CONFLICT, "request in flight"));
}

#[tokio::test(start_paused = true)]
async fn a_zombies_stream_has_no_clean_end() {
    let (open, n) = (Arc::new(Notify::new()), Runs::default());
    let gate = open.clone();
    let (app, _) = app(rerun(&cut_off()), move |_| {
        let (gate, first) = (gate.clone(), n.add() == 1);
        async move {
            if !first {
                return Body::from("the owner's");
            }
            let rest = async move {
                gate.notified().await;
                Ok::<_, std::io::Error>("zombie")
            };
            Body::from_stream(futures_stream(rest))
        }
    });
    let mut zombie = app.clone().oneshot(request("k", "")).await.unwrap().into_body();
    sleep(Duration::from_secs(31)).await;
    assert_eq!(send(&app, request("k", "")).await.text(), "the owner's");
    open.notify_one();
    let _begun = zombie.frame().await.unwrap().unwrap();
    let error = zombie.frame().await.unwrap().unwrap_err();
    assert!(steadfast::error::find::<ClaimLost>(&error).is_some(), "{error:?}");
}

fn futures_stream<T>(one: impl Future<Output = T>) -> impl tokio_stream::Stream<Item = T> {
    use tokio_stream::StreamExt;
    let mut one = Some(one);
    tokio_stream::iter(std::iter::from_fn(move || one.take())).then(|one| one)
}

#[tokio::test(start_paused = true)]
async fn a_lapsed_owner_that_nobody_replaced_still_records() {
    let (app, open) = first_waits(over(cut_off()));
    let late = tokio::spawn(app.clone().oneshot(request("k", "")));
    sleep(Duration::from_secs(31)).await;
    assert_eq!(send(&app, request("k", "")).await.title(), "outcome unknown");
    open.notify_one();
    assert_eq!(crate::support::see(late.await.unwrap().unwrap()).await.text(), "run 1");
    let seen = send(&app, request("k", "")).await;
    assert_eq!((seen.text(), seen.replayed()), ("run 1", true), "what was unknown is known");
}

#[tokio::test(start_paused = true)]
async fn a_handler_can_hear_that_its_claim_was_lost() {
    let store = Scripted::default();
    // cut off for longer than the lease, then heard again
    store.next(Call::Renew, vec![Fault::Fails; 10]);
    let (n, heard) = (Runs::default(), Arc::new(Notify::new()));
    let tell = heard.clone();
    let (app, _) = app(rerun(&store), move |request| {
        let (first, tell) = (n.add() == 1, tell.clone());
        async move {
            let claim = request.extensions().get::<Claim>().unwrap().clone();
            if first {
                assert!(!claim.is_lost());
                claim.lost().await;
                claim.lost().await;
                assert!(claim.is_lost());
                tell.notify_one();
            }
        }
    });
    leave(app.clone().oneshot(request("k", "")));
    sleep(Duration::from_secs(31)).await;
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::OK);
    tokio::time::timeout(Duration::from_secs(60), heard.notified()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_kept_is_never_lost() {
    let (app, _) = app(layer(), |request| async move {
        let claim = request.extensions().get::<Claim>().unwrap().clone();
        tokio::time::timeout(Duration::from_secs(300), claim.lost()).await.is_err().to_string()
    });
    assert_eq!(send(&app, request("k", "")).await.text(), "true");
}

/// A store whose key `k` has a run of unknown outcome, of a process that died.
async fn after_a_death() -> Scripted {
    let store = Scripted::default();
    let dead = store.of_another_process();
    dead.next(Call::Renew, vec![Fault::Fails; 1000]);
    let (app, _) = app(over(dead).with_renew_for(Duration::ZERO), |_| std::future::pending::<()>());
    leave(app.oneshot(request("k", "")));
    sleep(Duration::from_secs(31)).await;
    store
}

fn attempts(store: &Scripted, on_unknown: OnUnknown) -> (axum::Router, Runs) {
    app(over(store.clone()).with_on_unknown(on_unknown), |request| async move {
        request.extensions().get::<Claim>().unwrap().attempt().to_string()
    })
}

/// The first begin finds the claim that lapsed, the next two are to take it over.
#[tokio::test(start_paused = true)]
async fn what_a_hook_found_done_is_not_run_when_the_store_fails_while_the_claim_is_taken_over() {
    for faults in [[Fault::LosesReply; 2], [Fault::Hangs; 2], [Fault::Late(Duration::from_secs(10)); 2]] {
        let store = after_a_death().await;
        let found = || async { Recovered::Done(StoredResponse::new(StatusCode::CREATED, "found")) };
        let (app, runs) = attempts(&store, OnUnknown::ask(move |_| found()));
        store.next(Call::Begin, [Fault::None].into_iter().chain(faults));
        assert_eq!(send(&app, request("k", "")).await.status, StatusCode::SERVICE_UNAVAILABLE);
        sleep(Duration::from_secs(60)).await;
        let seen = send(&app, request("k", "")).await;
        assert_eq!((seen.status, runs.get()), (StatusCode::CREATED, 0), "{faults:?}: {}", seen.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_after_a_failed_take_over_knows_of_the_run_of_unknown_outcome() {
    let store = after_a_death().await;
    let (app, _) = attempts(&store, OnUnknown::Rerun);
    store.next(Call::Begin, [Fault::None, Fault::LosesReply, Fault::Fails]);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    sleep(Duration::from_secs(60)).await;
    assert_ne!(send(&app, request("k", "")).await.text(), "1", "it looks like the first run");
}

#[tokio::test(start_paused = true)]
async fn a_second_run_that_did_nothing_leaves_the_key_to_the_next_run_and_not_free() {
    let store = after_a_death().await;
    let n = Runs::default();
    let (app, _) = app(rerun(&store), move |request| {
        let refuses = n.add() == 1;
        async move {
            if refuses {
                return (StatusCode::TOO_MANY_REQUESTS, axum::Extension(NotExecuted)).into_response();
            }
            request.extensions().get::<Claim>().unwrap().attempt().to_string().into_response()
        }
    });
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::TOO_MANY_REQUESTS);
    sleep(Duration::from_millis(2)).await;
    assert_eq!(send(&app, request("k", "")).await.text(), "3", "at once, and it knows of the run of unknown outcome");
}

/// Under `OnUnknown::Fail` a claim that lapses blocks its key for good.
#[tokio::test(start_paused = true)]
async fn a_claim_taken_over_from_one_that_was_given_up_is_free_again_when_its_run_does_nothing() {
    let store = Scripted::default();
    let n = Runs::default();
    let (app, _) = app(over(store.clone()), move |_| {
        let refuses = n.add() == 1;
        async move {
            if refuses {
                return (StatusCode::TOO_MANY_REQUESTS, axum::Extension(NotExecuted)).into_response();
            }
            StatusCode::CREATED.into_response()
        }
    });
    // it has the claim, its replies are lost, and it frees nothing for longer than the lease
    store.next(Call::Begin, [Fault::LosesReply; 2]);
    store.next(Call::Release, vec![Fault::Fails; 200]);
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    sleep(Duration::from_secs(31)).await;
    assert_eq!(store.memory.records(), 1, "it is not given back yet");
    store.clear();
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::TOO_MANY_REQUESTS);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(send(&app, request("k", "")).await.status, StatusCode::CREATED);
}

/// The store answers the first begin, and then it is away.
#[tokio::test(start_paused = true)]
async fn a_request_that_fails_open_does_not_run_what_a_hook_found_done_and_knows_its_attempt() {
    let away = || [Fault::None, Fault::Fails, Fault::Fails];
    let store = after_a_death().await;
    let found = || async { Recovered::Done(StoredResponse::new(StatusCode::CREATED, "found")) };
    let hook = OnUnknown::ask(move |_| found());
    let (asks, runs) = app(over(store.clone()).with_on_unknown(hook).with_fail_open(), |_| async { "run" });
    store.next(Call::Begin, away());
    let seen = send(&asks, request("k", "")).await;
    assert_eq!((seen.status, seen.text(), seen.replayed(), runs.get()), (StatusCode::CREATED, "found", true, 0));

    let store = after_a_death().await;
    let (app, _) = app(rerun(&store).with_fail_open(), |request| async move {
        let claim = request.extensions().get::<Claim>().unwrap();
        format!("{} {}", claim.is_open(), claim.attempt())
    });
    store.next(Call::Begin, away());
    assert_eq!(
        send(&app, request("k", "")).await.text(),
        "true 2",
        "its handler finds out what the first run has done"
    );
}

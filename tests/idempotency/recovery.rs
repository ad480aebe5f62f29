//! `OnUnknown::Ask`: somebody knows what became of a run that was not heard of again.

use crate::{
    scripted::{Call, Fault, Scripted},
    support::{Runs, app, leave, over, request, see, send},
};
use axum::Router;
use http::StatusCode;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use steadfast::{
    error::BoxFuture,
    idempotency::{
        Claim, Fingerprint, IdempotencyKey, InFlight, OnUnknown, Recover, Recovered, StoredResponse, Token, Unknown,
    },
};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep},
};
use tower::ServiceExt;

const SECOND: Duration = Duration::from_secs(1);

fn answer() -> StoredResponse {
    StoredResponse::json(StatusCode::CREATED, "{\"charge\":1}")
}

/// A store with a claim under `k` whose process died 31 s ago, and what the claim was.
async fn lapsed() -> (Scripted, Token, IdempotencyKey) {
    let store = Scripted::default();
    store.next(Call::Renew, vec![Fault::Fails; 1000]);
    let claims = Arc::new(Mutex::new(None));
    let noted = claims.clone();
    let (dies, _) = app(over(store.clone()), move |request| {
        *noted.lock().unwrap() = request.extensions().get::<Claim>().cloned();
        std::future::pending::<()>()
    });
    leave(dies.oneshot(request("k", "5 EUR")));
    sleep(31 * SECOND).await;
    let claim = claims.lock().unwrap().take().unwrap();
    (store, claim.fence().token, claim.derive("charge"))
}

/// Over `store`, with that hook; the handler answers with its attempt.
fn asks(store: &Scripted, hook: impl Recover) -> (Router, Runs) {
    app(over(store.clone()).with_on_unknown(OnUnknown::ask(hook)), |request| async move {
        request.extensions().get::<Claim>().unwrap().attempt().to_string()
    })
}

fn send_again(app: &Router) -> impl Future<Output = crate::support::Seen> {
    send(app, request("k", "5 EUR"))
}

#[tokio::test(start_paused = true)]
async fn what_was_done_is_recorded_and_answered() {
    let (store, _, _) = lapsed().await;
    let asked = Runs::default();
    let counted = asked.clone();
    let (app, runs) = asks(&store, move |_| {
        counted.add();
        std::future::ready(Recovered::Done(answer()))
    });
    for _ in 0..3 {
        let seen = send_again(&app).await;
        assert_eq!((seen.status, seen.text(), seen.replayed()), (StatusCode::CREATED, "{\"charge\":1}", true));
    }
    assert_eq!((runs.get(), asked.get()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_done_runs_as_the_next_attempt() {
    let (store, _, _) = lapsed().await;
    let (app, runs) = asks(&store, |_| std::future::ready(Recovered::NotDone));
    assert_eq!(send_again(&app).await.text(), "2");
    assert!(send_again(&app).await.replayed());
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_knows_is_refused_and_asked_again_the_next_time() {
    let (store, _, _) = lapsed().await;
    let asked = Runs::default();
    let (app, runs) = asks(&store, move |_| {
        let knows = asked.add() == 3;
        std::future::ready(if knows { Recovered::NotDone } else { Recovered::Unknown })
    });
    for _ in 0..2 {
        let seen = send_again(&app).await;
        assert_eq!((&*seen.title(), seen.headers.contains_key("retry-after")), ("outcome unknown", false));
    }
    assert_eq!((send_again(&app).await.text(), runs.get()), ("2", 1));
}

#[tokio::test(start_paused = true)]
async fn the_hook_is_told_what_the_run_was_told() {
    let (store, token, derived) = lapsed().await;
    let (told, fingerprint) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(None)));
    let (noted, made) = (told.clone(), fingerprint.clone());
    let (app, _) = asks(&store, move |unknown: Unknown| {
        let body = unknown.body().clone();
        *made.lock().unwrap() = Some(Fingerprint::of(unknown.head(), "/", &body));
        *noted.lock().unwrap() = Some(unknown);
        std::future::ready(Recovered::Unknown)
    });
    send_again(&app).await;
    let told = told.lock().unwrap().take().unwrap();
    assert_eq!((told.key().as_str(), told.attempt(), told.stale()), ("k", 1, token));
    assert_eq!((&told.body()[..], told.head().method.as_str()), (&b"5 EUR"[..], "POST"));
    assert_eq!(told.derive("charge"), derived, "the key that the run has used with the other side");
    assert_eq!(Some(told.fingerprint()), *fingerprint.lock().unwrap());
    let shown = format!("{told:?}");
    assert!(!shown.contains("EUR") && !shown.contains("idempotency-key"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_hangs_or_panics_knows_nothing() {
    let (store, _, _) = lapsed().await;
    let (app, runs) = asks(&store, |_| std::future::pending());
    let began = Instant::now();
    assert_eq!(send_again(&app).await.title(), "outcome unknown");
    assert_eq!((began.elapsed(), runs.get()), (30 * SECOND, 0));

    /// Panics before it has made a future, and in it.
    struct Panics(bool);
    impl Recover for Panics {
        fn recover(&self, _: Unknown) -> BoxFuture<'_, Recovered> {
            assert!(!self.0, "at once");
            Box::pin(async { panic!("later") })
        }
    }
    for at_once in [true, false] {
        let (app, runs) = asks(&store, Panics(at_once));
        for _ in 0..2 {
            assert_eq!(send_again(&app).await.title(), "outcome unknown");
        }
        assert_eq!(runs.get(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn one_asks_and_the_others_meanwhile_find_the_key_at_work() {
    let (store, _, _) = lapsed().await;
    let asked = Runs::default();
    let counted = asked.clone();
    let hook = move |_| {
        counted.add();
        async {
            sleep(2 * SECOND).await;
            Recovered::Done(answer())
        }
    };
    let (app, runs) = asks(&store, hook);
    let first = tokio::spawn(app.clone().oneshot(request("k", "5 EUR")));
    tokio::task::yield_now().await;
    let seen = send_again(&app).await;
    assert_eq!((&*seen.title(), &seen.headers["retry-after"]), ("request in flight", &"1".parse().unwrap()));
    assert_eq!(see(first.await.unwrap().unwrap()).await.status, StatusCode::CREATED);
    assert_eq!((asked.get(), runs.get()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn those_who_may_wait_wait_for_what_is_found_out() {
    let (store, _, _) = lapsed().await;
    let asked = Runs::default();
    let counted = asked.clone();
    let hook = OnUnknown::ask(move |_| {
        counted.add();
        async {
            sleep(2 * SECOND).await;
            Recovered::NotDone
        }
    });
    let layer = over(store).with_on_unknown(hook).with_in_flight(InFlight::Wait { at_most: 10 * SECOND });
    let (app, runs) = app(layer, |_| async {
        sleep(2 * SECOND).await;
        "done"
    });
    let mut calls: JoinSet<_> = (0..10).map(|_| app.clone().oneshot(request("k", "5 EUR"))).collect();
    while let Some(answered) = calls.join_next().await {
        assert_eq!(see(answered.unwrap().unwrap()).await.text(), "done");
    }
    assert_eq!((asked.get(), runs.get()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn of_two_who_recover_at_once_in_two_processes_one_wins() {
    for found in [Recovered::NotDone, Recovered::Done(answer())] {
        let (store, _, _) = lapsed().await;
        let asked = Runs::default();
        let process = || {
            let (asked, found) = (asked.clone(), found.clone());
            asks(&store, move |_| {
                asked.add();
                let found = found.clone();
                async move {
                    sleep(SECOND).await;
                    found
                }
            })
        };
        let ((one, runs_one), (two, runs_two)) = (process(), process());
        let both = tokio::join!(send_again(&one), send_again(&two));
        assert_eq!(asked.get(), 2);
        let is_done = matches!(found, Recovered::Done(_));
        assert_eq!(runs_one.get() + runs_two.get(), usize::from(!is_done));
        let again = send_again(&one).await;
        for seen in [&both.0, &both.1] {
            assert!(seen.text() == again.text() || seen.title() == "request in flight", "{seen:?}");
        }
        assert!(again.replayed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_alive_here_is_not_asked_about() {
    let store = Scripted::default();
    store.next(Call::Renew, vec![Fault::Fails; 1000]);
    let asked = Runs::default();
    let (counted, open) = (asked.clone(), Arc::new(Notify::new()));
    let gate = open.clone();
    let hook = OnUnknown::ask(move |_| {
        counted.add();
        std::future::ready(Recovered::NotDone)
    });
    let (app, runs) = app(over(store).with_on_unknown(hook), move |_| {
        let gate = gate.clone();
        async move { gate.notified().await }
    });
    let slow = tokio::spawn(app.clone().oneshot(request("k", "5 EUR")));
    sleep(31 * SECOND).await;
    assert_eq!(send_again(&app).await.title(), "request in flight", "cut off from the store, and not dead");
    open.notify_one();
    assert_eq!(slow.await.unwrap().unwrap().status(), StatusCode::OK);
    assert!(send_again(&app).await.replayed());
    assert_eq!((asked.get(), runs.get()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_does_not_stop_it() {
    let (store, _, _) = lapsed().await;
    let (app, _) = asks(&store, |_| async {
        sleep(SECOND).await;
        Recovered::Done(answer())
    });
    leave(app.clone().oneshot(request("k", "5 EUR")));
    sleep(2 * SECOND).await;
    let (plain, runs) = crate::support::counting(over(store));
    let seen = send_again(&plain).await;
    assert_eq!((seen.text(), seen.replayed(), runs.get()), ("{\"charge\":1}", true, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_found_is_recorded_later_where_the_store_is_away() {
    let (store, _, _) = lapsed().await;
    let (app, runs) = asks(&store, |_| std::future::ready(Recovered::Done(answer())));
    store.next(Call::Complete, [Fault::Fails; 3]);
    assert_eq!(send_again(&app).await.status, StatusCode::CREATED);
    sleep(20 * SECOND).await;
    assert!(send_again(&app).await.replayed());
    assert_eq!(runs.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn key_attempt_and_token_are_in_the_requests_extensions() {
    let store = Scripted::default();
    let claims = Arc::new(Mutex::new(Vec::new()));
    let noted = claims.clone();
    let (app, _) = app(over(store.clone()), move |request| {
        noted.lock().unwrap().push(request.extensions().get::<Claim>().cloned().unwrap());
        std::future::ready(())
    });
    for key in ["k", "l"] {
        send(&app, request(key, "")).await;
    }
    let claims = claims.lock().unwrap();
    let [one, two] = &claims[..] else { panic!("two runs") };
    assert_eq!((one.key().as_str(), one.attempt()), ("k", 1));
    assert_ne!(one.fence().token, two.fence().token);
    assert_eq!(one.derive("a"), one.clone().derive("a"));
    assert!(one.derive("a") != one.derive("b") && one.derive("a") != two.derive("a"));
}

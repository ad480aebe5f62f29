//! `InFlight::Wait`: who comes while its key is at work gets the answer of the one that has it.

use crate::{
    scripted::{Call, Fault, Scripted},
    support::{Runs, app, layer, leave, over, request, see, send, serve},
};
use axum::response::IntoResponse;
use http::StatusCode;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use steadfast::{
    idempotency::{IdempotencyLayer, InFlight, NotExecuted, OnUnknown},
    registry::Value,
};
use tokio::{
    sync::Notify,
    task::{JoinSet, yield_now},
    time::{Instant, sleep},
};
use tower::ServiceExt;

const SECOND: Duration = Duration::from_secs(1);

fn waits(layer: IdempotencyLayer) -> IdempotencyLayer {
    layer.with_in_flight(InFlight::Wait { at_most: 10 * SECOND })
}

/// How many requests of the layer of this name wait.
fn waiting(name: &str) -> u64 {
    let listed = steadfast::registry().snapshot().into_iter().find(|entry| entry.name == name).unwrap();
    let Value::Count(n) = listed.state.iter().find(|(state, _)| *state == "waiting").unwrap().1 else { panic!() };
    n
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_identical_requests_at_once_are_one_run_and_twenty_answers() {
    let (app, runs) = app(waits(layer()), |_| async {
        for _ in 0..100 {
            yield_now().await;
        }
        (StatusCode::CREATED, "paid")
    });
    let address = serve(app).await;
    let client = reqwest::Client::new();
    let send = || client.post(format!("http://{address}/")).header("idempotency-key", "k").body("x").send();
    let mut calls: JoinSet<_> = (0..20).map(|_| send()).collect();
    let mut replayed = 0;
    while let Some(answered) = calls.join_next().await {
        let answered = answered.unwrap().unwrap();
        assert_eq!(answered.status(), StatusCode::CREATED);
        replayed += usize::from(answered.headers().contains_key("idempotent-replayed"));
        assert_eq!(answered.text().await.unwrap(), "paid");
    }
    assert_eq!((replayed, runs.get()), (19, 1));
}

#[tokio::test(start_paused = true)]
async fn over_two_layers_on_one_store_too() {
    let store = Scripted::default();
    let runs = Runs::default();
    let one = |_| {
        let runs = runs.clone();
        app(waits(over(store.clone())), move |_| {
            let run = runs.add();
            async move {
                sleep(3 * SECOND).await;
                format!("run {run}")
            }
        })
        .0
    };
    let apps = [one(1), one(2)];
    let began = Instant::now();
    let mut calls: JoinSet<_> = (0..20).map(|n| apps[n % 2].clone().oneshot(request("k", ""))).collect();
    while let Some(answered) = calls.join_next().await {
        assert_eq!(see(answered.unwrap().unwrap()).await.text(), "run 1");
    }
    assert_eq!(runs.get(), 1);
    assert!(began.elapsed() < 5 * SECOND, "{:?}", began.elapsed());
    let begins = store.calls(Call::Begin);
    assert!(begins < 20 + 9 + 10 * 12, "those in the other layer ask less and less often: {begins}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_the_owners_process_is_woken_by_its_record_and_asks_nobody_meanwhile() {
    let store = Scripted::default();
    let (app, _) = app(waits(over(store.clone())), |_| sleep(7 * SECOND));
    let owner = tokio::spawn(app.clone().oneshot(request("k", "")));
    yield_now().await;
    let began = Instant::now();
    let second = send(&app, request("k", "")).await;
    assert_eq!((second.status, second.replayed(), began.elapsed()), (StatusCode::OK, true, 7 * SECOND));
    assert_eq!(store.calls(Call::Begin), 3, "the owner's, and the other's first and last");
    assert!(!see(owner.await.unwrap().unwrap()).await.replayed());
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_takes_too_long_is_a_conflict() {
    for same in [true, false] {
        let store = Scripted::default();
        let (first, _) = app(waits(over(store.clone())), |_| sleep(60 * SECOND));
        let (other, _) = app(waits(over(store.clone())), |_| sleep(60 * SECOND));
        leave(first.clone().oneshot(request("k", "")));
        let began = Instant::now();
        let seen = send(if same { &first } else { &other }, request("k", "")).await;
        assert_eq!((seen.status, &*seen.title()), (StatusCode::CONFLICT, "request in flight"));
        assert_eq!((&seen.headers["retry-after"], began.elapsed()), (&"1".parse().unwrap(), 10 * SECOND));
    }
}

#[tokio::test(start_paused = true)]
async fn another_payload_does_not_wait() {
    let (app, runs) = app(waits(layer()), |_| sleep(60 * SECOND));
    leave(app.clone().oneshot(request("k", "5")));
    let began = Instant::now();
    assert_eq!(send(&app, request("k", "50")).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!((began.elapsed(), runs.get()), (Duration::ZERO, 1));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_it_waits_leaves_nothing_and_runs_nothing() {
    let name = "left by one that waited";
    let layer = waits(layer()).with_name(name);
    let (app, runs) = app(layer.clone(), |_| async {
        sleep(5 * SECOND).await;
        (StatusCode::TOO_MANY_REQUESTS, axum::Extension(NotExecuted))
    });
    leave(app.clone().oneshot(request("k", "")));
    let call = tokio::spawn(app.clone().oneshot(request("k", "")));
    yield_now().await;
    assert_eq!(waiting(name), 1);
    call.abort();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(waiting(name), 0, "its task is gone at once");
    sleep(60 * SECOND).await;
    assert_eq!(runs.get(), 1, "the key was given back, and nobody was there to run");
}

#[tokio::test(start_paused = true)]
async fn where_the_owner_gives_the_key_back_one_that_waits_runs() {
    let n = Runs::default();
    let (app, runs) = app(waits(layer()), move |_| {
        let first = n.add() == 1;
        async move {
            sleep(SECOND).await;
            if first {
                (StatusCode::TOO_MANY_REQUESTS, axum::Extension(NotExecuted)).into_response()
            } else {
                "done".into_response()
            }
        }
    });
    let mut calls: JoinSet<_> = (0..10).map(|_| app.clone().oneshot(request("k", ""))).collect();
    let mut statuses = Vec::new();
    while let Some(answered) = calls.join_next().await {
        statuses.push(answered.unwrap().unwrap().status().as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [[200; 9].as_slice(), &[429]].concat());
    assert_eq!(runs.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_one_that_panics_gets_its_500() {
    let (app, runs) = app(waits(layer()), |_| async {
        sleep(SECOND).await;
        assert!(std::hint::black_box(false), "boom");
    });
    let owner = tokio::spawn(app.clone().oneshot(request("k", "")));
    yield_now().await;
    let seen = send(&app, request("k", "")).await;
    assert_eq!((seen.status, &*seen.title()), (StatusCode::INTERNAL_SERVER_ERROR, "handler panicked"));
    assert!(owner.await.unwrap_err().is_panic());
    assert_eq!(runs.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_answer_that_is_not_kept_gets_a_conflict_once_that_is_known() {
    let layer = waits(layer()).with_response_limit(5);
    let (app, _) = app(layer, |_| async {
        sleep(SECOND).await;
        let rest = async {
            sleep(60 * SECOND).await;
            Ok::<_, std::io::Error>("the end")
        };
        let first = async { Ok("more than five") };
        axum::body::Body::from_stream(tokio_stream::StreamExt::chain(one(first), one(rest)))
    });
    let owner = app.clone().oneshot(request("k", "")).await.unwrap();
    let began = Instant::now();
    let seen = send(&app, request("k", "")).await;
    assert_eq!((seen.status, &*seen.title()), (StatusCode::CONFLICT, "answer not retained"));
    assert!(!seen.headers.contains_key("retry-after"));
    assert!(began.elapsed() < SECOND, "it does not wait for the end of the stream");
    drop(owner);
}

fn one<T>(item: impl Future<Output = T>) -> impl tokio_stream::Stream<Item = T> {
    use tokio_stream::StreamExt;
    let mut item = Some(item);
    tokio_stream::iter(std::iter::from_fn(move || item.take())).then(|item| item)
}

/// A process that hangs and whose renewals never come to the store, and another one.
fn lapses(on_unknown: OnUnknown) -> (axum::Router, axum::Router, Runs) {
    let store = Scripted::default();
    store.next(Call::Renew, vec![Fault::Fails; 1000]);
    let (hangs, _) = app(over(store.clone()).with_lease(3 * SECOND), |_| std::future::pending::<()>());
    let (other, runs) = app(waits(over(store)).with_on_unknown(on_unknown), |_| async { "done" });
    (hangs, other, runs)
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_one_that_lapses_is_told_what_a_lapse_means() {
    let (hangs, other, runs) = lapses(OnUnknown::Fail);
    leave(hangs.oneshot(request("k", "")));
    let began = Instant::now();
    let seen = send(&other, request("k", "")).await;
    assert_eq!((&*seen.title(), runs.get()), ("outcome unknown", 0));
    assert!(!seen.headers.contains_key("retry-after"));
    assert!((3..5).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());

    let (hangs, other, runs) = lapses(OnUnknown::Rerun);
    leave(hangs.oneshot(request("k", "")));
    let mut calls: JoinSet<_> = (0..5).map(|_| other.clone().oneshot(request("k", ""))).collect();
    while let Some(answered) = calls.join_next().await {
        assert_eq!(see(answered.unwrap().unwrap()).await.text(), "done");
    }
    assert_eq!(runs.get(), 1, "one of those who wait takes it over");
}

#[tokio::test(start_paused = true)]
async fn no_more_wait_than_may() {
    let name = "few wait";
    let layer = waits(layer()).with_name(name).with_max_waiting(2);
    let (app, _) = app(layer, |_| sleep(5 * SECOND));
    leave(app.clone().oneshot(request("k", "")));
    let mut calls: JoinSet<_> = (0..5).map(|_| app.clone().oneshot(request("k", ""))).collect();
    let mut statuses = Vec::new();
    while let Some(answered) = calls.join_next().await {
        statuses.push(answered.unwrap().unwrap().status().as_u16());
    }
    assert_eq!(statuses, [409, 409, 409, 200, 200], "those who may not wait are told so at once");
    assert_eq!(waiting(name), 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_goes_away_meanwhile_is_told() {
    let store = Scripted::default();
    let (first, _) = app(over(store.clone()), |_| sleep(60 * SECOND));
    let (other, _) = app(waits(over(store.clone())), |_| sleep(60 * SECOND));
    leave(first.oneshot(request("k", "")));
    store.next(Call::Begin, [Fault::None, Fault::Fails, Fault::Fails]);
    assert_eq!(send(&other, request("k", "")).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn waiting_is_no_work_and_every_wake_finds_its_answer() {
    // whoever ends just when another begins to wait: no wake is missed, or the poll would show in the time
    let open = Arc::new(Notify::new());
    let late = AtomicUsize::new(0);
    for turns in 0..40 {
        let gate = open.clone();
        let (app, _) = app(waits(layer()), move |_| {
            let gate = gate.clone();
            async move { gate.notified().await }
        });
        leave(app.clone().oneshot(request("k", "")));
        let began = Instant::now();
        let waits = tokio::spawn(app.oneshot(request("k", "")));
        for _ in 0..turns {
            yield_now().await;
        }
        open.notify_one();
        assert_eq!(waits.await.unwrap().unwrap().status(), StatusCode::OK);
        late.fetch_add(usize::from(began.elapsed() > Duration::ZERO), SeqCst);
    }
    assert_eq!(late.load(SeqCst), 0);
}

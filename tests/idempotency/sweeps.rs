//! When expired records are removed.

use crate::{
    scripted::{Call, Fault, Scripted},
    support::{app, counting, over, request, send},
};
use http::StatusCode;
use std::time::Duration;
use steadfast::{idempotency::IdempotencyLayer, store::memory::MemoryStore};
use tokio::time::{Instant, sleep};

fn short(store: &Scripted) -> IdempotencyLayer {
    over(store.clone()).with_keep(Duration::from_secs(1))
}

/// Expired records are removed in the background: some time after the request.
async fn soon() {
    sleep(Duration::from_secs(3)).await;
}

async fn complete(store: &Scripted, n: usize) {
    let (app, _) = counting(short(store));
    for n in 0..n {
        send(&app, request(&n.to_string(), "")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_request_of_a_process_sweeps() {
    let store = Scripted::default();
    complete(&store, 2_000).await;
    soon().await;
    // another process for the layer, which does not live for long
    let other = store.of_another_process();
    let (app, _) = counting(short(&other));
    send(&app, request("another", "")).await;
    sleep(Duration::from_secs(1)).await;
    assert!(store.memory.records() < 10, "{} records", store.memory.records());
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_is_made_for_each_request_sweeps() {
    let store = Scripted::default();
    for second in 0..60 {
        for n in 0..100 {
            let (app, _) = counting(short(&store));
            send(&app, request(&format!("{second}-{n}"), "")).await;
        }
        sleep(Duration::from_secs(1)).await;
    }
    assert!(store.memory.records() < 1_500, "{} records where 200 are alive", store.memory.records());
    assert!(store.calls(Call::Sweep) < 200, "{} sweeps of 6000 requests", store.calls(Call::Sweep));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_made_for_each_request_is_swept_and_not_by_each() {
    let store = Scripted::default();
    let mut sweeps = 0;
    for second in 0..10 {
        let mut made = Vec::new();
        for n in 0..300 {
            made.push(store.of_another_process());
            let (app, _) = counting(short(&made[n]));
            send(&app, request(&format!("{second}-{n}"), "")).await;
        }
        sleep(Duration::from_secs(1)).await;
        sweeps += made.iter().map(|store| store.calls(Call::Sweep)).sum::<usize>();
    }
    assert!(store.memory.records() < 1_000, "{} records where 300 are alive", store.memory.records());
    assert!(sweeps < 10 * 100, "{sweeps} sweeps of 3000 requests");
}

/// 100 batches of 500 are due at once, far more than a store in memory removes with each new record.
#[tokio::test(start_paused = true)]
async fn sweeping_goes_on_while_there_is_something_to_sweep() {
    let store = Scripted::default();
    complete(&store, 50_000).await;
    soon().await;
    sleep(Duration::from_secs(20)).await;
    let (app, _) = counting(short(&store));
    send(&app, request("another", "")).await;
    sleep(Duration::from_secs(5)).await;
    assert!(store.memory.records() <= 1, "{} records", store.memory.records());
}

#[tokio::test(start_paused = true)]
async fn neither_an_answer_nor_a_shutdown_waits_for_a_sweep() {
    let store = Scripted::default();
    let layer = short(&store);
    let (app, _) = app(layer.clone(), |_| async {
        sleep(Duration::from_millis(1)).await;
        StatusCode::CREATED
    });
    store.next(Call::Sweep, vec![Fault::Hangs; 10]);
    let began = Instant::now();
    for n in 0..1_000 {
        assert_eq!(send(&app, request(&n.to_string(), "")).await.status, StatusCode::CREATED);
    }
    layer.drained().await;
    assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
    assert!(store.calls(Call::Sweep) > 0);
    assert!(store.calls(Call::Sweep) <= 3, "one at a time: {}", store.calls(Call::Sweep));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_to_sweep_is_left_alone_for_a_while() {
    let store = Scripted::default();
    store.next(Call::Sweep, vec![Fault::Fails; 1_000]);
    complete(&store, 100).await;
    soon().await;
    assert_eq!(store.calls(Call::Sweep), 1);
}

#[tokio::test(start_paused = true)]
async fn records_in_memory_stay_near_those_that_are_alive() {
    let store = MemoryStore::new();
    let (app, _) = counting(over(store.clone()).with_keep(Duration::from_secs(2)));
    for tick in 0..200 {
        for n in 0..50 {
            send(&app, request(&format!("{tick}-{n}"), "")).await;
        }
        sleep(Duration::from_millis(100)).await;
        assert!(store.records() < 2_000, "{} records where 1000 are alive", store.records());
    }
}
